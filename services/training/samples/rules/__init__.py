"""The pure rules of samples; import the module that you need.

`channels` describes columns, `batches` checks what arrives, `chunks` and `archive` are
the stored forms, `columns` are whole channels, `streams` is what is drawn.
"""
