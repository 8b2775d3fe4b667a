package lines

import (
	"fmt"
	"strings"

	"github.com/pacewire/pacewire/internal/listen"
)

// reports are what goes wrong because of others. However often that is, each is logged once a second at most.
type reports struct {
	lines     listen.Throttle // cannot be read
	datagrams listen.Throttle // were thrown away by the kernel
	bus       listen.Throttle // takes nothing
	answers   listen.Throttle // are not read
}

// A tooLongError is about a line that was left out for its length.
type tooLongError struct {
	line  int
	limit int
	start string
}

func (e *tooLongError) Error() string {
	return fmt.Sprintf("longer than %d bytes, begins with %q: send shorter lines, or raise max_line_bytes",
		e.limit, strings.ToValidUTF8(e.start, "\uFFFD"))
}
