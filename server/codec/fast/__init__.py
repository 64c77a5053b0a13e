"""The same answers as the codec's, sooner, for the requests that are sent most.

    json_rows       V1 and V2 bodies for a model with one matrix input
    json_arrays     bodies of many numbers
    grpc_templates  gRPC requests and answers that differ from earlier ones in their values alone

`python -m bench.decoding` says what each is worth.
"""
