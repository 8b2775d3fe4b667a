package lines

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pacewire/pacewire/publisher/deliverytest"
	"github.com/pacewire/pacewire/telemetry"
)

// TestDelivery holds it to what every publisher promises.
func TestDelivery(t *testing.T) { deliver(t, influx) }

// TestDeliveryAsJSON does the same with the other format.
func TestDeliveryAsJSON(t *testing.T) { deliver(t, asJSON) }

func deliver(t *testing.T, format string) {
	deliverytest.Run(t, Define(), func(t *testing.T) deliverytest.Sink {
		path := filepath.Join(t.TempDir(), "points")
		return deliverytest.Sink{
			Settings: fmt.Sprintf(`{"path": %q, "format": %q, "sync": false}`, path, format),
			ReadBack: func(t testing.TB) []telemetry.Point { return pointsIn(t, path) },
			Away:     func(away bool) { replace(t, path, away) },
			Single:   true,
		}
	})
}

// pointsIn returns the points of a file, none if there is no file yet.
func pointsIn(t testing.TB, path string) (list []telemetry.Point) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	size, _ := whole(bytes.NewReader(text), int64(len(text))) // what is being written is not confirmed
	var b telemetry.Batch
	if size > 0 {
		if err := b.Decode("", "", text[:size], time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for p := range b.Points() {
		list = append(list, p)
	}
	return list
}

// replace puts a folder in the place of the file at path, or takes it away again: for root too, nothing can be written there.
func replace(t testing.TB, path string, away bool) {
	t.Helper()
	aside := path + ".aside"
	var err error
	if away {
		err = errors.Join(os.Rename(path, aside), os.Mkdir(path, 0o700))
	} else {
		err = errors.Join(os.Remove(path), os.Rename(aside, path))
	}
	if err != nil {
		t.Fatal(err)
	}
}
