package texttest

import (
	"strings"
	"sync"
	"testing"
)

// What many write at once is whole, and can be read meanwhile.
func TestBuffer(t *testing.T) {
	const writers, lines = 8, 100
	var b Buffer
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range lines {
				b.Logger().Debug("said", "text", "a b")
				_ = b.String()
			}
		})
	}
	all.Wait()
	if n := b.Count(`level=DEBUG msg=said text="a b"` + "\n"); n != writers*lines {
		t.Errorf("%d whole lines, want %d", n, writers*lines)
	}
	if got := strings.Count(b.String(), "\n"); got != writers*lines {
		t.Errorf("%d lines", got)
	}
}
