"""The backend that hands the float network out."""
