package listen

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var th Throttle
		f := func(held int, ok bool) {
			t.Helper()
			if n, pass := th.Pass(); n != held || pass != ok {
				t.Errorf("%d, %v; want %d, %v", n, pass, held, ok)
			}
		}
		f(0, true)
		f(0, false)
		f(0, false)
		time.Sleep(time.Second)
		f(2, true)
		f(0, false)
		time.Sleep(time.Minute)
		f(1, true)
	})
}
