package recent

import (
	"math/bits"
	"unsafe"
)

// What things take on the heap, which gives memory in classes: what is counted is the class.
const (
	pastBytes  = int64(unsafe.Sizeof(past{})+15) &^ 15
	pieceBytes = int64(unsafe.Sizeof(piece{})+15) &^ 15
	setBytes   = int64(unsafe.Sizeof(set{})+15) &^ 15
	fieldBytes = int64(unsafe.Sizeof(field{}))                      // cap tells the rest of the class
	placeBytes = int64(unsafe.Sizeof(&set{}))                       // in order
	slotBytes  = int64(unsafe.Sizeof("")+unsafe.Sizeof(&set{})) + 2 // of a map, with its control byte and a share of the class
)

// textBytes returns what a text of n bytes takes: classes are 8 bytes apart, from 32 bytes on 16, and above 256 an eighth.
func textBytes(n int) int64 {
	step := 8
	switch {
	case n > 256:
		step = 1 << (bits.Len(uint(n-1)) - 4)
	case n > 32:
		step = 16
	}
	return int64((n + step - 1) / step * step)
}

// mapBytes returns what a map takes that has had n sets: its slots are a power of two, and at most seven eighths of them are used.
// A map never gives any back.
func mapBytes(n int) int64 {
	if n == 0 {
		return 0
	}
	return slotBytes << max(3, bits.Len(uint((n*8+6)/7-1)))
}

// bytes returns what a set takes.
func (e *set) bytes() int64 {
	n := setBytes + textBytes(len(e.key)) + int64(cap(e.fields))*fieldBytes
	for i := range e.fields {
		f := &e.fields[i]
		n += textBytes(len(f.name)) + textBytes(len(f.last.Text())) + f.past.bytes()
	}
	return n
}

// bytes returns what all takes.
func (s *Store) bytes() int64 {
	return s.taken + mapBytes(s.most) + int64(cap(s.order))*placeBytes
}
