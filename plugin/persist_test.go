package plugin

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// What fails and asks for another try gets it, after as long as it asks for; what does not ask ends it.
func TestPersist(t *testing.T) {
	last := errors.New("the bus is gone")
	f := func(last error, once bool, tries int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			s, status := fakeSession(t, &fakeLink{})
			s.once = once
			begun, n := time.Now(), 0
			err := s.Persist(t.Context(), func(context.Context) error {
				if n++; n < 4 {
					return After(errors.New("it has ended"), time.Duration(n)*time.Minute)
				}
				return last
			})
			if n != tries || tries == 4 && !errors.Is(err, last) {
				t.Errorf("%d tries, then %v; want %d, then %v", n, err, tries, last)
			}
			if tries == 4 && (time.Since(begun) != 6*time.Minute || !slices.Equal(status.said, []string{"failing"})) {
				t.Errorf("it took %v, and said %q", time.Since(begun), status.said)
			}
		})
	}
	f(last, false, 4)
	f(Permanent(last), false, 4)
	f(nil, false, 4)
	f(nil, true, 1)
}

func TestPersistEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := fakeSession(t, &fakeLink{})
		ctx, end := context.WithTimeout(t.Context(), time.Hour)
		defer end()
		n := 0
		err := s.Persist(ctx, func(context.Context) error {
			n++
			return After(errors.New("it has ended"), 25*time.Minute)
		})
		if n != 3 || RetryAfter(err) == 0 {
			t.Errorf("%d tries, then %v", n, err)
		}
	})
}

// Points that are about another host are sent as that host's.
func TestEmitAbout(t *testing.T) {
	link := &fakeLink{}
	s, _ := fakeSession(t, link)
	var b telemetry.Batch
	b.Add("load", telemetry.Fields{"v": 1}, nil)
	s.EmitAbout("web-2", &b)
	if sent := link.messages(); len(sent) != 1 || sent[0].host != "web-2" || link.points != 1 {
		t.Errorf("%+v", sent)
	}
}
