package publisher

import (
	"fmt"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// MaxText is about how much text a publisher makes of a batch at a time.
const MaxText = 32 << 20

// FitsText returns plugin.ErrTooLarge where in as text takes more than MaxText, so that it is given again in halves. Whoever
// makes text of a batch asks it before: a message of 256 KiB may stand for gigabytes.
func FitsText(in *telemetry.Batch) error {
	if in.TextWithin(MaxText) {
		return nil
	}
	return fmt.Errorf("%w: its text takes more than %d MiB", plugin.ErrTooLarge, MaxText>>20)
}
