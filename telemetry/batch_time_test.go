package telemetry

import (
	"testing"
	"time"
)

func TestBatchTime(t *testing.T) {
	var b Batch
	from := time.Now().Truncate(time.Microsecond)
	if at := b.Time(); at.Before(from) || at.After(time.Now()) || at.Nanosecond()%1000 != 0 {
		t.Errorf("time without At = %v, want the clock's in whole microseconds", at)
	}
	at := time.Unix(1763559525, 42)
	b.At(at)
	if got := b.Time(); !got.Equal(at) {
		t.Errorf("time = %v, want %v", got, at)
	}
	b.Add("load", Fields{"load1": 1.5}, nil)
	b.Group("load", nil, []Field{{"load1", TypeFloat}}).Row(b.Time(), nil, Float(2.5))
	for p := range b.Points() {
		if !p.Time.Equal(at) {
			t.Errorf("point has time %v, want %v", p.Time, at)
		}
	}
}
