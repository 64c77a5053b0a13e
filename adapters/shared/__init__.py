"""What several frameworks need alike, written once; it imports none of them.

`arrays` puts values into arrays, `messages` puts errors into one line, `explanations` are the form of what `explain`
answers, `trial_runs` finds out how a model takes rows by running it on made-up ones.
"""
