"""Pictures of simulations: in a terminal, and as SVG, PNG or HTML files."""
