package config

import "testing"

// What other programs call a setting leads to ours, where the program has it; what is nowhere known, to the nearest name.
func TestDidYouMean(t *testing.T) {
	f := func(word, want string, from ...string) {
		t.Helper()
		if got := didYouMean(word, from, "otherwise"); got != want {
			t.Errorf("didYouMean(%q, %q) = %q, want %q", word, from, got, want)
		}
	}
	f("data_format", "did you mean format?", "command", "format")
	f("signal", "did you mean trigger?", "command", "trigger")
	f("scrape_interval", "did you mean every?", "targets", "every")
	f("max_check_attempts", "did you mean attempts?", "attempts", "every")
	f("static_configs", "did you mean groups?", "groups", "targets")
	f("scrape_native_histograms", "did you mean native_histograms?", "native_histograms")
	f("service_address", "did you mean listen?", "listen")
	f("data_format", "otherwise", "listen")
	f("Targest", "did you mean targets?", "groups", "targets")
	f("interval", "did you mean every?", "every")
}
