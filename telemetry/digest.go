package telemetry

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Digest is the first half of a SHA-256. On the wire it is 16 bytes of bin in msgpack and 32 hex digits in JSON.
// Receivers compare digests as opaque bytes.
type Digest [16]byte

// DigestOf returns the digest of b.
func DigestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest(sum[:16])
}

// IsZero reports whether d is no digest.
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns d in hex.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText returns d in hex.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads 32 hex digits, or nothing as the zero digest.
func (d *Digest) UnmarshalText(text []byte) error {
	var got Digest
	if len(text) != 0 && len(text) != 2*len(got) {
		return fmt.Errorf("digest of %d characters: expected 32 hex digits", len(text))
	}
	if _, err := hex.Decode(got[:], text); err != nil {
		return fmt.Errorf("digest %s: %w", text, err)
	}
	*d = got
	return nil
}

func (d Digest) pack(w *controlWriter) error {
	w.bin(d[:])
	return nil
}

func (d *Digest) unpack(r *controlReader) error {
	it := r.peek()
	switch {
	case it.kind == itemStr:
		if err := d.UnmarshalText(r.take(it)); err != nil {
			return &ControlError{Code: ControlRange, Detail: err.Error()}
		}
	case it.kind == itemBin && (it.n == 16 || it.n == 0):
		*d = Digest{}
		copy(d[:], r.take(it))
	default:
		return wrongType("a digest of 16 bytes", it)
	}
	return nil
}
