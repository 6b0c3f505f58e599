"""An integer network as a TFLite file that carries whole numbers in float32."""
