package bus_test

import (
	"os"
	"testing"

	"github.com/pacewire/pacewire/internal/cluster"
)

func TestMain(m *testing.M) {
	cluster.Serve() // the servers of a cluster are processes of this program
	os.Exit(m.Run())
}
