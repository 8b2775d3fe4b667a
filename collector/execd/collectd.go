package execd

import (
	"cmp"
	"errors"
	"time"

	programs "github.com/pacewire/pacewire/internal/decode/collectd"
	"github.com/pacewire/pacewire/internal/execd"
	"github.com/pacewire/pacewire/plugin"
)

// collectd is the format of programs that collectd's plugin exec runs, which has customs of its own.
const collectd = "collectd"

// manners returns how the program is to be treated. One of collectd does not read its input, and may end whenever it has spoken.
func (c Config) manners(every time.Duration) execd.Manners {
	if c.Format != collectd {
		return execd.Manners{}
	}
	return execd.Manners{TermAtOnce: true, Returns: true, Apart: cmp.Or(every, programs.Every)}
}

var errRoot = errors.New("format collectd: user is empty, and such programs are not run as root, as collectd does not: " +
	"set user to the one it needs, such as nobody, or to root if that is what it needs")

// checkUser refuses to run a program of collectd as root, which our uid says we are, unless the operator wants it.
func (c Config) checkUser(uid int) error {
	if c.Format == collectd && c.User == "" && uid == 0 && len(c.Command) > 0 {
		return plugin.Permanent(errRoot)
	}
	return nil
}
