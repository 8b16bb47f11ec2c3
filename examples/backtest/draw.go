package main

import (
	"encoding/json"
	"image/color"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The picture's size.
const (
	width  = 24 * vg.Centimeter
	height = 12 * vg.Centimeter
)

// draw draws the equity curve, when something was held, and what holding would have come to.
func (r *report) draw(file string, prices *source) error {
	var all results
	if err := json.Unmarshal(r.Session, &all); err != nil {
		return err
	}
	p := plot.New()
	p.Title.Text = "Equity"
	p.Y.Label.Text = "quote currency"
	p.X.Tick.Marker = plot.TimeTicks{Format: "2006-01"}
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.Padding = vg.Points(3)
	p.Add(plotter.NewGrid())

	held := make(plotter.XYs, 0, prices.rows)
	for _, q := range prices.held(all.Metrics.Initial) {
		held = append(held, plotter.XY{X: float64(q.at.Unix()), Y: q.price})
	}
	equity := make(plotter.XYs, 0, len(all.Curve))
	for _, point := range all.Curve {
		equity = append(equity, plotter.XY{X: float64(point.At.Unix()), Y: point.Equity})
	}
	if err := line(p, "bought and held", held, color.RGBA{R: 0xb0, G: 0xb0, B: 0xb0, A: 0xff}); err != nil {
		return err
	}
	if err := line(p, "strategy", equity, color.RGBA{R: 0x1f, G: 0x5f, B: 0xbf, A: 0xff}); err != nil {
		return err
	}
	if err := marks(p, &all, equity); err != nil {
		return err
	}
	return p.Save(width, height, file)
}

func line(p *plot.Plot, name string, points plotter.XYs, c color.Color) error {
	l, err := plotter.NewLine(points)
	if err != nil {
		return err
	}
	l.Color, l.Width = c, vg.Points(1.5)
	p.Add(l)
	p.Legend.Add(name, l)
	return nil
}

// marks puts a mark on the equity curve where a trade ended: green where it gained, red where it lost.
func marks(p *plot.Plot, all *results, equity plotter.XYs) error {
	won, lost := plotter.XYs{}, plotter.XYs{}
	for _, t := range all.Trades {
		point := plotter.XY{X: float64(t.ExitAt.Unix()), Y: at(equity, t.ExitAt)}
		if t.Net > 0 {
			won = append(won, point)
		} else {
			lost = append(lost, point)
		}
	}
	for _, kind := range []struct {
		name   string
		points plotter.XYs
		color  color.Color
		shape  draw.GlyphDrawer
	}{
		{"trade won", won, color.RGBA{R: 0x2e, G: 0x8b, B: 0x3d, A: 0xff}, draw.PyramidGlyph{}},
		{"trade lost", lost, color.RGBA{R: 0xc0, G: 0x30, B: 0x30, A: 0xff}, draw.CircleGlyph{}},
	} {
		s, err := plotter.NewScatter(kind.points)
		if err != nil {
			return err
		}
		s.Color, s.Shape, s.Radius = kind.color, kind.shape, vg.Points(3)
		p.Add(s)
		p.Legend.Add(kind.name, s)
	}
	return nil
}

// at is the curve's value at a moment: that of the last point that is not later.
func at(curve plotter.XYs, moment time.Time) float64 {
	y := curve[0].Y
	for _, point := range curve {
		if point.X > float64(moment.Unix()) {
			break
		}
		y = point.Y
	}
	return y
}
