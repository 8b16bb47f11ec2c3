package plugin

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"time"

	"github.com/wse-engine/wse/engine/plugin/scan"
)

// Kind is what a plugin is used for.
type Kind string

// The kinds of plugin. Each stands for the hooks of the same name in sdk/ABI.md.
const (
	Transform Kind = "transform"
	Authorize Kind = "authorize"
	Validate  Kind = "validate"
	// KindStrategy stands for the three functions of the stateful hook; [Strategy] is a strategy that runs.
	KindStrategy Kind = "strategy"
)

// Policy says what becomes of an event whose transform failed. An authorize plugin that fails always denies.
type Policy string

// The policies of on_error.
const (
	Drop       Policy = "drop"        // forget it, count it
	DeadLetter Policy = "dead_letter" // keep it where an operator finds it
	Deny       Policy = "deny"        // refuse it towards whoever handed it in
)

// Configs is the `plugins` section of the configuration: plugins in chain order.
type Configs []Config

// Config is one plugin.
type Config struct {
	// Name is what logs, metrics and errors call the plugin: small letters, digits, - and _.
	Name string `yaml:"name"`
	// Kinds is what the plugin is used for; none means every hook that it exports.
	Kinds []Kind `yaml:"kinds"`
	// Path is the module's file, relative to the configuration file; stock:NAME is a module inside the program.
	Path string `yaml:"path"`
	// SHA256 pins the file: 64 hexadecimal digits. Empty accepts any.
	SHA256 string `yaml:"sha256"`
	// Bind lists patterns of event names (transform), topics (authorize) or names of strategies (strategy, validate) that the plugin is
	// asked about; * stands for any run of characters, ? for one. None means all.
	Bind []string `yaml:"bind"`
	// Config is handed to the plugin as JSON, once per instance.
	Config any `yaml:"config"`
	// ConfigFile is a YAML file to take Config from, relative to the configuration file; it is read at each load.
	ConfigFile string `yaml:"config_file"`
	// Vectors is a file, or a directory of files, of cases that a version has to pass before it serves, relative to the
	// configuration file; sdk/tck/README.md describes them.
	Vectors string `yaml:"vectors"`
	// Limits bounds what the plugin may use. Zero fields take their default.
	Limits Limits `yaml:"limits"`
	// OnError is drop, dead_letter (the default) or deny.
	OnError Policy `yaml:"on_error"`
	// Record says what is kept of the documents that the plugin is given, to try candidates on.
	Record Record `yaml:"record"`
}

// Files lists what the plugin is made of: files, or directories with files, as the configuration names them.
func (c Config) Files() []string {
	var files []string
	if !isStock(c.Path) {
		files = append(files, c.Path)
	}
	for _, f := range []string{c.ConfigFile, c.Vectors} {
		if f != "" {
			files = append(files, f)
		}
	}
	return files
}

// Limits bounds what a plugin may use. Zero fields take the value of [DefaultLimits].
type Limits struct {
	// Fuel is what one call may execute, in units of one cheap instruction: a million of them take about 0.1 ms of
	// ordinary code and at most 0.7 ms of the costliest that stays in the cache. FuelInit is the same for making an
	// instance ready: start function, _initialize, wse_configure.
	Fuel     int64 `yaml:"fuel"`
	FuelInit int64 `yaml:"fuel_init"`
	// FuelTick is what a strategy may execute for each tick it is given, where that is more than Fuel for the call. FuelTicks is
	// what one call with many of them may: FuelTicks / FuelTick ticks go into a call, or more calls are made.
	FuelTick  int64 `yaml:"fuel_tick"`
	FuelTicks int64 `yaml:"fuel_ticks"`
	// MemoryMiB bounds the linear memory of each instance.
	MemoryMiB int `yaml:"memory_mib"`
	// InKiB and OutKiB bound one document to and from the plugin.
	InKiB  int `yaml:"in_kib"`
	OutKiB int `yaml:"out_kib"`
	// Instances is how many calls may run at the same time. Zero is one for each processor that Go may use (GOMAXPROCS when
	// the plugin is loaded), and at least two. InstanceWait is how long a call waits for one to be free.
	Instances    int           `yaml:"instances"`
	InstanceWait time.Duration `yaml:"instance_wait"`
	// StrategiesMax is how many strategies may run at the same time, each of which has an instance of its own beside those
	// above, and StrategiesMiB what their memories may take together. Those on versions that no longer serve count too.
	StrategiesMax int `yaml:"strategies_max"`
	StrategiesMiB int `yaml:"strategies_mib"`
	// ActionsMax is how many items a strategy may say in one answer.
	ActionsMax int `yaml:"actions_max"`
	// WaitingMax is how many calls may wait at the same time, each event of a batch being one; more fail at once.
	WaitingMax int `yaml:"waiting_max"`
	// BatchEventsMax is how many events that wait go into one call of wse_transform_batch, where the module has it; 1 is
	// none. A batch is never expected to use more than SlowFuel.
	BatchEventsMax int `yaml:"batch_events_max"`
	// SlowFuel is the fuel from which on a call counts as slow: while calls of a hook lately used more, all of them pass a
	// gate that leaves one processor to everything else.
	SlowFuel int64 `yaml:"slow_fuel"`
	// CompileMiB and CompileTimeout bound the child process that compiles the module.
	CompileMiB     int           `yaml:"compile_mib"`
	CompileTimeout time.Duration `yaml:"compile_timeout"`
	// BreakerTraps calls in a row that end in a trap, without fuel or in a breach of the ABI silence the plugin for
	// BreakerPause; then one call is let through to try.
	BreakerTraps int           `yaml:"breaker_traps"`
	BreakerPause time.Duration `yaml:"breaker_pause"`
	// CacheKiB bounds the verdicts that authorize plugins asked to be remembered.
	CacheKiB int `yaml:"cache_kib"`
	// LogLinesPerCall and LogLinesPerSecond cap what a guest may log, LogLineBytes one line. Metrics caps the names a
	// guest may count under.
	LogLinesPerCall   int `yaml:"log_lines_per_call"`
	LogLinesPerSecond int `yaml:"log_lines_per_second"`
	LogLineBytes      int `yaml:"log_line_bytes"`
	Metrics           int `yaml:"metrics"`
	// Scan bounds what a module may declare.
	Scan scan.Limits `yaml:"scan"`
}

// DefaultLimits returns the limits of a plugin that sets none. The fuel takes the costliest module about 5 ms
// (BenchmarkWorst).
func DefaultLimits() Limits {
	return Limits{
		Fuel: 10_000_000, FuelInit: 500_000_000, FuelTick: 100_000, FuelTicks: 51_200_000, MemoryMiB: 16, InKiB: 1024, OutKiB: 1024,
		StrategiesMax: 1000, StrategiesMiB: 1024, ActionsMax: 4096,
		InstanceWait: time.Second, WaitingMax: 1024, BatchEventsMax: 64, SlowFuel: 2_000_000, CompileMiB: 1024, CompileTimeout: 30 * time.Second,
		BreakerTraps: 5, BreakerPause: 10 * time.Second, CacheKiB: 4096,
		LogLinesPerCall: 16, LogLinesPerSecond: 50, LogLineBytes: 1024, Metrics: 64,
		Scan: scan.DefaultLimits(),
	}
}

// DefaultConfig returns a plugin with every default in place; name and path are for the caller to set.
func DefaultConfig() Config {
	return Config{Bind: []string{"*"}, OnError: DeadLetter, Limits: DefaultLimits(), Record: DefaultRecord()}
}

// UnmarshalYAML fills the fields that the document leaves out with [DefaultConfig].
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	p := plain(DefaultConfig())
	if err := unmarshal(&p); err != nil {
		return err
	}
	*c = Config(p)
	return nil
}

// withDefaults returns c with every unset field at its default.
func (c Config) withDefaults() Config {
	if len(c.Bind) == 0 {
		c.Bind = []string{"*"}
	}
	if c.OnError == "" {
		c.OnError = DeadLetter
	}
	setDefault(&c.Record.KiB, DefaultRecord().KiB)
	l, d := &c.Limits, DefaultLimits()
	setDefault(&l.Fuel, d.Fuel)
	setDefault(&l.FuelInit, d.FuelInit)
	setDefault(&l.FuelTick, d.FuelTick)
	setDefault(&l.FuelTicks, d.FuelTicks)
	setDefault(&l.SlowFuel, d.SlowFuel)
	setDefault(&l.InstanceWait, d.InstanceWait)
	setDefault(&l.CompileTimeout, d.CompileTimeout)
	setDefault(&l.BreakerPause, d.BreakerPause)
	numbers := d.numbers()
	for i, f := range l.numbers() {
		setDefault(f.value, *numbers[i].value)
	}
	setDefault(&l.Instances, max(instancesMin, runtime.GOMAXPROCS(0)))
	l.Scan = l.Scan.WithDefaults()
	l.Scan.MemoryPagesMax = l.MemoryMiB * pagesPerMiB
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

type number struct {
	name  string
	value *int
	most  int
}

func (l *Limits) numbers() []number {
	return []number{
		{"memory_mib", &l.MemoryMiB, 1024}, {"in_kib", &l.InKiB, 64 << 10}, {"out_kib", &l.OutKiB, 64 << 10},
		{"strategies_max", &l.StrategiesMax, 1 << 20}, {"strategies_mib", &l.StrategiesMiB, 1 << 20}, {"actions_max", &l.ActionsMax, 1 << 16},
		{"instances", &l.Instances, 1024}, {"waiting_max", &l.WaitingMax, 1 << 20}, {"batch_events_max", &l.BatchEventsMax, 4096},
		{"compile_mib", &l.CompileMiB, 64 << 10},
		{"breaker_traps", &l.BreakerTraps, 1 << 20}, {"cache_kib", &l.CacheKiB, 1 << 20},
		{"log_lines_per_call", &l.LogLinesPerCall, 1 << 20}, {"log_lines_per_second", &l.LogLinesPerSecond, 1 << 20},
		{"log_line_bytes", &l.LogLineBytes, 64 << 10}, {"metrics", &l.Metrics, 4096},
	}
}

// Validate reports every fault of the section, each beginning with its path inside it, as in "[2].limits.fuel: …".
func (cs Configs) Validate() error {
	var errs []error
	seen := map[string]int{}
	for i, c := range cs {
		if first, twice := seen[c.Name]; twice && c.Name != "" {
			errs = append(errs, fmt.Errorf("[%d].name: %q is the name of [%d] already", i, c.Name, first))
		}
		seen[c.Name] = i
		for _, err := range c.faults() {
			errs = append(errs, fmt.Errorf("[%d].%w", i, err))
		}
	}
	return errors.Join(errs...)
}

// Validate reports every fault of one plugin's configuration.
func (c Config) Validate() error { return errors.Join(c.faults()...) }

func (c Config) faults() []error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`).MatchString(c.Name) {
		fault("name: %q must be 1 to 64 small letters, digits, - or _", c.Name)
	}
	if c.Path == "" {
		fault("path: missing; name a .wasm file or stock:NAME")
	}
	if raw, err := hex.DecodeString(c.SHA256); c.SHA256 != "" && (err != nil || len(raw) != 32) {
		fault("sha256: must be 64 hexadecimal digits")
	}
	for i, k := range c.Kinds {
		if k != Transform && k != Authorize && k != Validate && k != KindStrategy {
			fault("kinds[%d]: %q must be transform, authorize, validate or strategy", i, k)
		}
	}
	for i, p := range c.Bind {
		if p == "" || len(p) > patternBytesMax {
			fault("bind[%d]: a pattern has 1 to %d characters", i, patternBytesMax)
		}
	}
	if c.Config != nil && c.ConfigFile != "" {
		fault("config_file: the plugin has a config already; give one of the two")
	}
	if p := c.OnError; p != "" && p != Drop && p != DeadLetter && p != Deny {
		fault("on_error: %q must be drop, dead_letter or deny", p)
	}
	return append(append(errs, c.Record.faults()...), c.Limits.faults()...)
}

func (l Limits) faults() []error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf("limits."+format, args...)) }
	for _, f := range l.numbers() {
		if *f.value < 0 || *f.value > f.most {
			fault("%s: %d must be between 0 (the default) and %d", f.name, *f.value, f.most)
		}
	}
	for _, f := range []struct {
		name  string
		value int64
	}{{"fuel", l.Fuel}, {"fuel_init", l.FuelInit}, {"fuel_tick", l.FuelTick}, {"fuel_ticks", l.FuelTicks}, {"slow_fuel", l.SlowFuel}} {
		if f.value < 0 || f.value > fuelMax {
			fault("%s: %d must be between 0 (the default) and %d", f.name, f.value, int64(fuelMax))
		}
	}
	for name, d := range map[string]time.Duration{
		"instance_wait": l.InstanceWait, "compile_timeout": l.CompileTimeout, "breaker_pause": l.BreakerPause,
	} {
		if d < 0 {
			fault("%s: %v must not be negative", name, d)
		}
	}
	for _, err := range l.Scan.Faults() {
		fault("scan.%w", err)
	}
	return errs
}

const (
	pagesPerMiB     = 16
	patternBytesMax = 256
	// instancesMin is what a plugin has even on one processor: while one instance is made anew, the other serves.
	instancesMin = 2
	// fuelMax is about an hour: more than that is no limit, and sums of it must not overflow.
	fuelMax = 1 << 43
)

// Lifecycle says how the versions of plugins come and go.
type Lifecycle struct {
	// Watch makes a change of a plugin's files, or of the configuration file, take effect by itself.
	Watch bool `yaml:"watch"`
	// Debounce is for how long nothing more must have changed then.
	Debounce time.Duration `yaml:"debounce"`
	// VersionsMax is how many versions of each plugin are kept to go back to. The one that serves and the one before are
	// always kept.
	VersionsMax int `yaml:"versions_max"`
	// ShadowQueueKiB bounds what waits for the candidate of a shadow: documents and answers together, and one document for each
	// KiB. What comes while it is full is not compared.
	ShadowQueueKiB int `yaml:"shadow_queue_kib"`
	// CacheMiBMax bounds what is kept of compiled modules, so that they are not compiled again; what was used last stays. A Go
	// plugin takes 18 MiB, one in another language less than one.
	CacheMiBMax int `yaml:"cache_mib_max"`
}

// DefaultLifecycle returns what holds where nothing else is said.
func DefaultLifecycle() Lifecycle {
	return Lifecycle{Watch: true, Debounce: 250 * time.Millisecond, VersionsMax: 5, ShadowQueueKiB: 4096, CacheMiBMax: 1024}
}

// Validate reports every fault, each beginning with its field.
func (l Lifecycle) Validate() error {
	var errs []error
	if l.Debounce < debounceMin || l.Debounce > debounceMax {
		errs = append(errs, fmt.Errorf("debounce: %v must be between %v and %v", l.Debounce, debounceMin, debounceMax))
	}
	if l.VersionsMax < versionsMin || l.VersionsMax > versionsMost {
		errs = append(errs, fmt.Errorf("versions_max: %d must be between %d and %d", l.VersionsMax, versionsMin, versionsMost))
	}
	if l.ShadowQueueKiB < 1 || l.ShadowQueueKiB > shadowQueueMost {
		errs = append(errs, fmt.Errorf("shadow_queue_kib: %d must be between 1 and %d", l.ShadowQueueKiB, shadowQueueMost))
	}
	if l.CacheMiBMax < cacheMin || l.CacheMiBMax > cacheMost {
		errs = append(errs, fmt.Errorf("cache_mib_max: %d must be between %d and %d", l.CacheMiBMax, cacheMin, cacheMost))
	}
	return errors.Join(errs...)
}

const (
	cacheMin        = 64
	cacheMost       = 1 << 20
	shadowQueueMost = 1 << 20
	debounceMin     = time.Millisecond
	debounceMax     = time.Minute
	versionsMin     = 3 // the one that serves, the one to go back to, and one that is handed in
	versionsMost    = 100
)
