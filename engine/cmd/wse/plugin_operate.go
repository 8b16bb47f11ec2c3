package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// pluginOperate returns the commands for the plugins of a running engine.
func pluginOperate(g *globals) []*cobra.Command {
	return []*cobra.Command{
		newPluginList(g), newPluginShow(g), newPluginUpload(g), newPluginTry(g), newPluginSwap(g), newPluginShadow(g), newPluginRollback(g),
	}
}

const pluginsPath = "/api/v1/plugins"

func pluginPath(name, verb string) string {
	return strings.TrimSuffix(pluginsPath+"/"+url.PathEscape(name)+"/"+verb, "/")
}

// operation is what the commands that change plugins share.
type operation struct {
	globals *globals
	api     *adminAPI
	asJSON  bool
	who     string
}

func (o *operation) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print the engine's answer as it is")
	cmd.Flags().StringVar(&o.who, "who", "", "`TEXT` to keep with the change, of who made it (default: cli user@host)")
}

// candidateSlack is what a call may take beside the time that the engine allows for a candidate.
const candidateSlack = 15 * time.Second

// open finds the engine. What hands in a candidate may take as long as the engine allows it.
func (o *operation) open() (err error) {
	cfg, err := o.globals.load()
	if err != nil {
		return err
	}
	if o.api, err = o.globals.api(); err != nil {
		return err
	}
	o.api.timeout = cfg.Admin.CandidateTimeout + candidateSlack
	if o.api.who = o.who; o.who == "" {
		o.api.who = whoAmI()
	}
	return nil
}

// whoAmI names who runs this, for the record.
func whoAmI() string {
	name, host := os.Getenv("USER"), "?"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	plain := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '?'
		}
		return r
	}, name+"@"+host)
	return "cli " + plain[:min(len(plain), 120)]
}

// candidate is what is handed in.
type candidate struct {
	operation
	version string
}

func (c *candidate) flags(cmd *cobra.Command) {
	c.operation.flags(cmd)
	cmd.Flags().StringVar(&c.version, "version", "", "a kept version's `ID`, or the beginning of it, instead of files")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return misused(cmd, "NAME is missing")
		case len(args) == 1 && c.version == "":
			return misused(cmd, "FILE or --version is missing")
		case len(args) > 1 && c.version != "":
			return misused(cmd, "%q: a kept version comes with its own module and config; give it without files", args[1])
		}
		return nil
	}
}

// hand sends the candidate of a command's arguments, NAME FILE..., to verb.
func (c *candidate) hand(cmd *cobra.Command, verb string, args []string, q url.Values) ([]byte, error) {
	if err := c.open(); err != nil {
		return nil, err
	}
	path := pluginPath(args[0], verb)
	if c.version != "" {
		q.Set("version", c.version)
	}
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	body, kind, err := c.body(cmd, args[1:])
	if err != nil {
		return nil, err
	}
	answer, err := c.api.call(cmd.Context(), http.MethodPost, path, kind, body)
	if cmd.Context().Err() != nil {
		return nil, fmt.Errorf("interrupted; see what serves with: wse plugin show %s", args[0])
	}
	return answer, err
}

// wasmMagic is what a module begins with.
const wasmMagic = "\x00asm"

// body makes the body of a request from files: one module, one configuration, or one of each.
func (c *candidate) body(cmd *cobra.Command, files []string) (body []byte, kind string, err error) {
	parts := make(map[string][]byte)
	for _, name := range files {
		text, err := c.read(cmd.Context(), name)
		if err != nil {
			return nil, "", err
		}
		part := "config"
		if strings.HasPrefix(string(text), wasmMagic) {
			part = "module"
		}
		if _, twice := parts[part]; twice {
			return nil, "", misused(cmd, "%s: a %s is given already", name, part)
		}
		if len(text) == 0 {
			return nil, "", fmt.Errorf("%s: is empty", name)
		}
		parts[part] = text
	}
	switch module, config := parts["module"], parts["config"]; {
	case len(parts) == 0:
		return nil, "", nil
	case config == nil:
		return module, "application/wasm", nil
	case module == nil:
		return config, "application/yaml", nil // JSON is YAML too
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, text := range parts {
		p, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="` + name + `"`}})
		if err != nil {
			return nil, "", err
		}
		if _, err := p.Write(text); err != nil {
			return nil, "", err
		}
	}
	if err := w.Close(); err != nil { // which writes the end
		return nil, "", err
	}
	return b.Bytes(), w.FormDataContentType(), nil
}

// read reads a file, or standard input for -.
func (c *candidate) read(ctx context.Context, name string) ([]byte, error) {
	if name == "-" {
		text, err := readAll(ctx, c.globals.in)
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		return text, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(file, moduleBytesMax+1))
	if err == nil && len(text) > moduleBytesMax {
		err = fmt.Errorf("%s: is larger than %d MiB", name, moduleBytesMax>>20)
	}
	return text, errors.Join(err, file.Close())
}

// moduleBytesMax bounds a file that is sent; the engine's own limit, admin.module_kib_max, is lower as a rule.
const moduleBytesMax = 256 << 20

func newPluginList(g *globals) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List what serves", Args: exactly(),
		Long:    "List the plugins that serve, in the order in which they are asked.",
		Example: "  wse plugin list",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the engine's answer as it is")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		api, err := g.api()
		if err != nil {
			return err
		}
		var list struct{ Plugins []pluginState }
		answer, err := api.get(cmd.Context(), pluginsPath, &list)
		if err != nil {
			return err
		}
		if asJSON {
			return g.printAnswer(answer)
		}
		return g.printPlugins(list.Plugins)
	}
	return cmd
}

func newPluginShow(g *globals) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show one plugin, its versions and its shadow", Args: exactly("NAME"),
		Long: `Show a plugin: what serves since when and by whom, its calls, and the versions that are kept, newest first. * marks the
one that serves. A kept version is made to serve with rollback NAME VERSION or swap NAME --version VERSION.`,
		Example: "  wse plugin show mapping",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the engine's answer as it is")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := g.api()
		if err != nil {
			return err
		}
		var p pluginDetail
		answer, err := api.get(cmd.Context(), pluginPath(args[0], ""), &p)
		if err != nil {
			return err
		}
		if asJSON {
			return g.printAnswer(answer)
		}
		return g.printPlugin(&p)
	}
	return cmd
}

func newPluginUpload(g *globals) *cobra.Command {
	c := &candidate{operation: operation{globals: g}}
	cmd := &cobra.Command{
		Use: "upload NAME FILE...", Short: "Have a candidate made ready and kept, without serving",
		Long: `Hand in a candidate. The engine makes it ready as it would to serve, so that everything that could refuse it has, and
keeps it. What serves stays.`,
		Example: `  wse plugin upload mapping plugin.wasm
  wse plugin upload mapping plugin.wasm mappings.yaml`,
	}
	c.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		answer, err := c.hand(cmd, "upload", args, url.Values{})
		if err != nil {
			return err
		}
		var k pluginVersion
		if err := understand(answer, &k); err != nil || c.asJSON {
			return errors.Join(g.printAnswer(answer), err)
		}
		return g.printf("%s: %s is kept; to let it serve: wse plugin swap %s --version %s\n", args[0], k.Version, args[0], k.Version)
	}
	return cmd
}

func newPluginTry(g *globals) *cobra.Command {
	c := &candidate{operation: operation{globals: g}}
	cmd := &cobra.Command{
		Use: "try NAME FILE...", Short: "Run a candidate over recorded events and show what would differ",
		Long: `Run a candidate over the last events that the plugin was given, beside the version that serves, and print what would
differ: a line of figures, then the first 20 differences, - from what serves and + from the candidate. Nothing that
serves is touched. The engine records events where the plugin's record.events is above 0.

Exit code 0 means that all are the same, 3 that some differ, 1 that it could not be tried.`,
		Example: `  wse plugin try mapping configs/mappings.yaml
  wse plugin try mapping plugin.wasm mappings.yaml
  wse plugin try mapping --version 4f1c2d9a8b77`,
	}
	c.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		answer, err := c.hand(cmd, "try", args, url.Values{})
		if err != nil {
			return err
		}
		var found comparison
		if err := understand(answer, &found); err != nil {
			return err
		}
		if c.asJSON {
			err = g.printAnswer(answer)
		} else {
			err = g.printComparison(&found, 0)
		}
		return cmp.Or(err, found.verdict())
	}
	return cmd
}

func newPluginRollback(g *globals) *cobra.Command {
	o := &operation{globals: g}
	var all forAll
	cmd := &cobra.Command{
		Use: "rollback NAME [VERSION]", Short: "Let a version serve that served before",
		Long: `Let a kept version serve again from the next event on: the one that served before, or VERSION, an id or the beginning
of one. wse plugin show NAME lists them.

` + clusterHelp,
		Example: `  wse plugin rollback mapping
  wse plugin rollback mapping 4f1c2d9a8b77
  wse plugin rollback mapping --cluster`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return exactly("NAME")(cmd, args)
		},
	}
	o.flags(cmd)
	all.flag(cmd, "go back on all nodes, or on none")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.open(); err != nil {
			return err
		}
		ask := map[string]string{}
		if len(args) == 2 {
			ask["version"] = args[1]
		}
		path := pluginPath(args[0], "rollback")
		if all {
			path += "?cluster=true"
		}
		answer, err := o.api.post(cmd.Context(), path, ask)
		switch {
		case err != nil:
			return err
		case bool(all):
			return o.printReport(answer)
		}
		return o.printChange(answer)
	}
	return cmd
}

// shadowFlags say how long a candidate runs beside what serves.
type shadowFlags struct {
	events      int
	lasting     time.Duration
	differences int
}

func (s *shadowFlags) flags(cmd *cobra.Command, events, lasting string) {
	cmd.Flags().IntVar(&s.events, events, 0, "let the candidate run beside what serves for `N` events")
	cmd.Flags().DurationVar(&s.lasting, lasting, 0, "or for this long, whichever is over first: `1m30s`")
	cmd.Flags().IntVar(&s.differences, "differences-max", -1, "give the candidate up after more than `N` differences (default: any number)")
}

// query is the flags as parameters, none where there is to be no shadow.
func (s *shadowFlags) query(cmd *cobra.Command) (url.Values, error) {
	q := url.Values{}
	seconds := int(s.lasting / time.Second)
	switch {
	case s.events < 0 || s.lasting < 0:
		return nil, misused(cmd, "a shadow cannot be negative")
	case s.lasting != time.Duration(seconds)*time.Second:
		return nil, misused(cmd, "%v: whole seconds only", s.lasting)
	case s.events == 0 && seconds == 0:
		if cmd.Flags().Changed("differences-max") {
			return nil, misused(cmd, "--differences-max is for a shadow; say how long it runs")
		}
		return q, nil
	}
	if s.events > 0 {
		q.Set("shadow_events", strconv.Itoa(s.events))
	}
	if seconds > 0 {
		q.Set("shadow_seconds", strconv.Itoa(seconds))
	}
	if s.differences >= 0 {
		q.Set("differences_max", strconv.Itoa(s.differences))
	}
	return q, nil
}
