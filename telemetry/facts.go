package telemetry

// Facts are what an inventory collector knows: JSON values under plain names.
type Facts map[string]any

// Encode returns f in its one canonical form: keys sorted, integers in their shortest form. Equal facts give equal bytes,
// so DigestOf them tells whether anything has changed.
func (f Facts) Encode(enc Encoding) ([]byte, error) {
	if f == nil {
		f = Facts{}
	}
	return encodeValue(f, enc)
}
