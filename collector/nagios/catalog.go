package nagios

import (
	"github.com/pacewire/pacewire/internal/decode/nagios"
	"github.com/pacewire/pacewire/telemetry"
)

// catalog describes the series of checks, with what several runs of a check tell.
func catalog() []telemetry.Desc {
	list := nagios.Catalog()
	state := list[0]
	state.Fields["hard_state"], state.Types["hard_state"] = "as state, of problems that lasted", "i"
	state.Fields["attempt"], state.Types["attempt"] = "1", "i"
	return list
}
