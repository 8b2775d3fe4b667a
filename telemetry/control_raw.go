package telemetry

import "bytes"

// Raw is a value in msgpack that is not decoded yet, whatever the encoding of the message around it.
// EncodeControl makes it, the Decode function of its type reads it.
type Raw []byte

// MarshalJSON returns the same value in JSON.
func (raw Raw) MarshalJSON() ([]byte, error) {
	if len(raw) == 0 {
		return []byte("null"), nil
	}
	if err := guard(raw, beatBounds); err != nil {
		return nil, err
	}
	return (&controlReader{raw}).asJSON(nil)
}

func (raw Raw) pack(w *controlWriter) error {
	if err := guard(raw, beatBounds); err != nil {
		return err
	}
	w.buf = append(w.buf, raw...)
	return nil
}

func (raw *Raw) unpack(r *controlReader) error {
	rest := r.buf
	r.skip()
	*raw = bytes.Clone(rest[:len(rest)-len(r.buf)])
	return nil
}
