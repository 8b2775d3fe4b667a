package hub

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/pacewire/pacewire/internal/cluster"
)

func TestMain(m *testing.M) {
	cluster.Serve() // the servers of a cluster are processes of this program
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/pacewire/pacewire/internal/process.spawn"))
}
