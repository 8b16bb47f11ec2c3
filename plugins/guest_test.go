package plugins_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wse-engine/wse/sdk/abi"
)

// guest is one instance of a module on a bare runtime: no metering, no pool, nothing between the test and the code.
type guest struct {
	mod    api.Module
	buffer uint32
	cap    uint32
	stack  [1]uint64
	hooks  map[string]api.Function
}

// answer is a hook's result with its bytes read.
type answer struct {
	kind abi.Kind
	text string
}

// compile makes a runtime with the memory limit of the engine's default and a module compiled in it. What the module logs is
// not kept.
func compile(t testing.TB, wasm []byte) (wazero.Runtime, wazero.CompiledModule) {
	t.Helper()
	ctx := t.Context()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithMemoryLimitPages(256))
	t.Cleanup(func() { _ = rt.Close(context.Background()) })
	_, err := rt.NewHostModuleBuilder(abi.ModuleWSE).NewFunctionBuilder().
		WithFunc(func(_ context.Context, _ api.Module, _, _, _ uint32) {}).Export(abi.ImportLog).Instantiate(ctx)
	require.NoError(t, err)
	module, err := rt.CompileModule(ctx, wasm)
	require.NoError(t, err)
	return rt, module
}

// start makes an instance and gives it its configuration, unless that is nil.
func start(t testing.TB, rt wazero.Runtime, module wazero.CompiledModule, config []byte) (*guest, answer) {
	t.Helper()
	mod, err := rt.InstantiateModule(t.Context(), module, wazero.NewModuleConfig().WithName("").
		WithStartFunctions(abi.ExportInitialize))
	require.NoError(t, err)
	g := &guest{mod: mod, hooks: make(map[string]api.Function)}
	g.room(t, abi.BufferBytes)
	ready := answer{kind: abi.Yes}
	if config != nil {
		ready = g.call(t, abi.ExportConfigure, config)
	}
	return g, ready
}

// close ends an instance before its runtime does.
func (g *guest) close(t testing.TB) {
	t.Helper()
	require.NoError(t, g.mod.Close(t.Context()))
}

// stock starts an instance of a stock plugin that must accept its configuration.
func stock(t testing.TB, name, config string) *guest {
	t.Helper()
	rt, module := compile(t, module(t, name))
	var raw []byte
	if config != "" {
		raw = []byte(config)
	}
	g, ready := start(t, rt, module, raw)
	require.Equal(t, answer{kind: abi.Yes}, ready)
	return g
}

// room asks for an input buffer of at least n bytes.
func (g *guest) room(t testing.TB, n uint32) {
	t.Helper()
	got, err := g.mod.ExportedFunction(abi.ExportBuffer).Call(t.Context(), uint64(n))
	require.NoError(t, err)
	require.NotZero(t, got[0], "the guest refuses a buffer of %d bytes", n)
	g.buffer, g.cap = uint32(got[0]), n
}

// call runs a hook on a document. A trap fails the test.
func (g *guest) call(t testing.TB, hook string, doc []byte) answer {
	t.Helper()
	a, err := g.try(t.Context(), hook, doc)
	require.NoError(t, err, "document: %q", doc)
	return a
}

// try runs a hook on a document and reads the answer.
func (g *guest) try(ctx context.Context, hook string, doc []byte) (answer, error) {
	result, err := g.raw(ctx, hook, doc)
	if err != nil {
		return answer{}, err
	}
	switch result.Kind {
	case abi.Data, abi.ErrorText:
		text, ok := g.mod.Memory().Read(result.Ptr, result.Len)
		if !ok {
			return answer{}, fmt.Errorf("answer at %d of %d bytes lies outside the memory", result.Ptr, result.Len)
		}
		return answer{result.Kind, string(text)}, nil
	case abi.ErrorCode:
		return answer{result.Kind, fmt.Sprint(result.Code)}, nil
	}
	return answer{kind: result.Kind}, nil
}

// raw runs a hook on a document.
func (g *guest) raw(ctx context.Context, hook string, doc []byte) (abi.Result, error) {
	f := g.hooks[hook]
	if f == nil {
		f = g.mod.ExportedFunction(hook)
		g.hooks[hook] = f
	}
	if uint32(len(doc)) > g.cap {
		return abi.Result{}, fmt.Errorf("document of %d bytes in a buffer of %d", len(doc), g.cap)
	}
	g.mod.Memory().Write(g.buffer, doc)
	g.stack[0] = uint64(len(doc))
	err := f.CallWithStack(ctx, g.stack[:])
	return abi.Unpack(g.stack[0]), err
}
