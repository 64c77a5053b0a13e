"""A process that runs strangers' code may do less: files, system calls, signals, network, user.

    sandbox       what the server was asked to do, and what one child gets      (the parent's side)
    launcher      does it to itself, then becomes the child's program           (the child's side)
    landlock      files: what may be read, and written                           Linux 5.13 and newer
    seccomp       system calls                                                   any Linux of today
    system_calls  their numbers
    kernel        which of these this kernel has
    readable      what every interpreter has to read
    users         user ids of their own, where the server is root

Made of the kernel's documented interfaces by `ctypes`: the launcher runs in any interpreter, a model's own environment
included, and imports nothing but the standard library.
"""
