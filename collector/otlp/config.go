package otlp

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pacewire/pacewire/internal/listen"
)

const minBody = 1 << 10

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	faults := slices.Concat(listen.Check(c.Listen, schemes...), c.TLS.Check(c.Listen), c.Access.Check(c.Listen))
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if slices.Contains(c.Resource, "") {
		fault("resource_attributes: one is empty: name an attribute, such as service.name, or remove it")
	}
	if c.Delta != deltaAdd && c.Delta != deltaKeep {
		fault("delta %q: want %s or %s", c.Delta, deltaAdd, deltaKeep)
	}
	if c.MaxBody < minBody {
		fault("max_body_bytes %d: want %d or more", c.MaxBody, minBody)
	}
	if c.MaxInflated < c.MaxBody {
		fault("max_inflated_bytes %d: want max_body_bytes (%d) or more", c.MaxInflated, c.MaxBody)
	}
	if c.MaxConnections < 1 {
		fault("max_connections %d: want 1 or more", c.MaxConnections)
	}
	return errors.Join(faults...)
}
