"""Attacks on a real process: tables of cases, with what each gets. attacked.py runs them."""
