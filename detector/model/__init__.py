"""What things are: the six frozen types that walk the path, and the words they are made of.

RecordBatch -> EventBatch -> Windows -> Score -> Incident -> Alert
"""
