package telemetry

import (
	"slices"
	"testing"
)

func TestInventoryDigest(t *testing.T) {
	items := fullHello().Inventory
	got := InventoryDigest(items)
	slices.Reverse(items)
	if again := InventoryDigest(items); again != got {
		t.Errorf("digest depends on order: %s, then %s", got, again)
	}
	if items[0].Type != DataInfo {
		t.Error("InventoryDigest sorted the caller's list")
	}
	one := []InventoryItem{{Plugin: "os", Type: DataInfo, Version: "1", Config: Digest{1}, Digest: Digest{2}}}
	raw := append([]byte("os\x00info\x001\x00"), make([]byte, 32)...)
	raw[len(raw)-32], raw[len(raw)-16] = 1, 2
	if got, want := InventoryDigest(one), DigestOf(raw); got != want {
		t.Errorf("digest of one item = %s; want %s", got, want)
	}
	if got, want := InventoryDigest(nil), DigestOf(nil); got != want {
		t.Errorf("digest of no items = %s; want %s", got, want)
	}
}
