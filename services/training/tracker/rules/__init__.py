"""The tracker's pure rules; import the module that you need.

`channels` describes columns, `batches` checks what arrives, `sessions` decides the
answer, `chunks` and `archive` are the stored forms, `live` is what a watcher sees.
"""
