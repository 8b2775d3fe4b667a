package scrape

import (
	"testing"

	"github.com/pacewire/pacewire/internal/leaktest"
	"github.com/pacewire/pacewire/plugin/plugintest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestConform(t *testing.T) { plugintest.Conform(t, Define()) }
