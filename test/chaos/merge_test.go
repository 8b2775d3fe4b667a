package main

import (
	"testing"
)

func TestMerged(t *testing.T) {
	const columns = "| row | fault |\n|---|---|\n"
	old := "Seed 1, full form.\n\n" + columns + "| F1 | one | 7 |\n| F2 | two | 8 |\n| F11L | long | 9 |\n\n- **F1** promised\n- **F2** as well\n"
	order := []string{"F1", "F2", "F3", "F11L"}
	f := func(old, fresh, want string) {
		t.Helper()
		if got := merged(old, fresh, order); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
	again := "Seed 2, full form.\n\n" + columns + "| F2 | two | 80 |\n| F3 | new | 81 |\n\n- **F2** kept\n- **F3** too\n"
	once := "Seed 1, full form.\n\nF2, F3 again: Seed 2, full form.\n\n" + columns +
		"| F1 | one | 7 |\n| F2 | two | 80 |\n| F3 | new | 81 |\n| F11L | long | 9 |\n\n- **F1** promised\n- **F2** kept\n- **F3** too\n"
	f(old, again, once)
	f("\n\n", again, again) // there was none
	f(once, "Seed 3, full form.\n\n"+columns+"| F1 | one | 6 |\n\n", "Seed 1, full form.\n\nF2, F3 again: Seed 2, full form.\n\nF1 again: Seed 3, full form.\n\n"+columns+
		"| F1 | one | 6 |\n| F2 | two | 80 |\n| F3 | new | 81 |\n| F11L | long | 9 |\n\n- **F2** kept\n- **F3** too\n")
}
