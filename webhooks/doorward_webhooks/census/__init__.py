"""The census as a document: which live pods of enrolled namespaces hold or reach a secret, and where."""
