package telemetry

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"time"
)

// any reads a value as JSON knows it: what JSON lacks becomes text, bytes as hex and a timestamp as RFC 3339.
func (r *controlReader) any() (any, error) {
	it := r.peek()
	switch it.kind {
	case itemMap:
		return unpackMap(r, r.any)
	case itemArray:
		return r.anyList()
	}
	content := r.take(it)
	switch it.kind {
	case itemBool:
		return it.n == 1, nil
	case itemFloat:
		return math.Float64frombits(it.n), nil
	case itemStr:
		return string(content), nil
	case itemBin:
		return hex.EncodeToString(content), nil
	case itemExt:
		return timestamp(content)
	case itemUint:
		if it.n > math.MaxInt64 {
			return it.n, nil
		}
		return int64(it.n), nil
	case itemInt:
		return int64(it.n), nil
	}
	return nil, nil
}

func (r *controlReader) anyList() (list []any, err error) {
	n, err := r.open(itemArray)
	if err != nil {
		return nil, err
	}
	list = make([]any, n)
	for i := range list {
		if list[i], err = r.any(); err != nil {
			return nil, underIndex(i, err)
		}
	}
	return list, nil
}

// timestamp reads the msgpack timestamp in its three lengths.
func timestamp(b []byte) (string, error) {
	var sec, nsec int64
	switch len(b) {
	case 4:
		sec = int64(binary.BigEndian.Uint32(b))
	case 8:
		n := binary.BigEndian.Uint64(b)
		sec, nsec = int64(n&(1<<34-1)), int64(n>>34)
	default:
		nsec, sec = int64(binary.BigEndian.Uint32(b)), int64(binary.BigEndian.Uint64(b[4:]))
	}
	text, err := time.Unix(sec, nsec).UTC().MarshalText()
	if err != nil || nsec >= 1e9 {
		return "", &ControlError{Code: ControlRange, Detail: "timestamp outside the years 0 to 9999"}
	}
	return string(text), nil
}
