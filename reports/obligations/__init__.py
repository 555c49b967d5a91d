"""What laws, standards and good practice ask for, held against what an audit found. A statement says what evidence supports; never "compliant"."""
