package bus

import "time"

// After returns how much a stream holds after a sequence, by the average of its messages, and what share that is of all it may hold,
// in bytes or in time: the larger one. At 1 the limits take the first of that.
func (s StreamState) After(place uint64, now time.Time) (bytes uint64, share float64) {
	place = max(place, max(s.FirstSeq, 1)-1)
	if s.Messages == 0 || place >= s.LastSeq { // a reader has moved on since the stream was asked
		return 0, 0
	}
	part := min(1, float64(s.LastSeq-place)/float64(s.Messages))
	bytes = uint64(part * float64(s.Bytes))
	if s.MaxBytes > 0 {
		share = float64(bytes) / float64(s.MaxBytes)
	}
	if s.MaxAge > 0 {
		share = max(share, part*float64(now.Sub(s.FirstTime))/float64(s.MaxAge))
	}
	return bytes, share
}

// Lags reports whether a reader for which such a share of a stream waits is told to be behind. It is still for a while when it was
// before: one at the border would be told of again and again.
func Lags(share float64, before bool) bool { return share > 0.5 || before && share > 0.4 }
