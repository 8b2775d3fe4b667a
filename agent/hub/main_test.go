package hub

import (
	"testing"

	"github.com/pacewire/pacewire/internal/cluster"
	"github.com/pacewire/pacewire/internal/leaktest"
)

func TestMain(m *testing.M) {
	cluster.Serve() // the servers of a cluster are processes of this program
	leaktest.Main(m)
}
