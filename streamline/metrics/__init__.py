"""What a line publishes: the catalogue of its series and the exporter that shows them."""
