//! Graphs by hand: a builder, a decoder from random genes, and input data.

use std::sync::Arc;

use backtestd_core::graph::{
    Cmp, EventId, EventNode, Graph, Literal, Node, NodeId, Onset, Op, Output, Rolling, Rolling2, SymbolRef,
    Type, Universe,
};
use backtestd_core::market::{BarIndex, Source, Symbol, SymbolColumns, TickBlock};

/// A graph in the making. Every node is also a feature, so that a run shows all series.
#[derive(Default)]
pub(crate) struct Build {
    pub graph: Graph,
}

impl Build {
    pub(crate) fn node(&mut self, op: Op, inputs: &[NodeId]) -> NodeId {
        self.clocked(op, inputs, None)
    }

    pub(crate) fn clocked(&mut self, op: Op, inputs: &[NodeId], clock: Option<NodeId>) -> NodeId {
        let id = NodeId(self.graph.nodes.len() as u32);
        self.graph.nodes.push(Node { op, inputs: inputs.to_vec(), clock, ty: Type::Num });
        id
    }

    pub(crate) fn source(&mut self, source: Source) -> NodeId {
        self.node(Op::Source(source), &[])
    }

    pub(crate) fn number(&mut self, value: f64) -> NodeId {
        self.node(Op::Const(Literal::new(value)), &[])
    }

    pub(crate) fn greater(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.node(Op::Compare(Cmp::Gt), &[a, b])
    }

    /// The onset flag's node.
    pub(crate) fn event(&mut self, inputs: [NodeId; 4], rule: EventNode) -> (EventId, NodeId) {
        let id = EventId(self.graph.events.len() as u16);
        let detect = self.node(Op::Detect(id), &inputs);
        self.graph.events.push(EventNode { detect, ..rule });
        (id, detect)
    }

    pub(crate) fn done(mut self) -> Arc<Graph> {
        self.graph.features = (0..self.graph.nodes.len())
            .map(|i| Output { name: format!("n{i}"), node: NodeId(i as u32) })
            .collect();
        Arc::new(self.graph)
    }
}

/// An event without conditions of its own.
pub(crate) fn rule() -> EventNode {
    EventNode {
        event_type: "E".into(),
        family: "F".into(),
        detect: NodeId(0),
        onset: Onset::Rising,
        spacing_bars: 0,
        max_bars: None,
        has_exit: false,
        undirected: true,
        snapshot: Vec::new(),
        needs: Vec::new(),
    }
}

pub(crate) fn symbol(name: &str) -> Symbol {
    Symbol::new(name).unwrap()
}

pub(crate) fn roll(f: Rolling, window: u32, min: u32) -> Op {
    Op::Roll { f, window, min }
}

/// The number sources of random graphs.
pub(crate) const SOURCES: [Source; 4] = [Source::Close, Source::Volume, Source::Oi, Source::FundingRate];

/// Columns of one symbol for [`block`].
pub(crate) fn columns(series: &[(Source, Vec<f64>)]) -> SymbolColumns {
    let mut columns = SymbolColumns::new();
    for (source, values) in series {
        columns.set(*source, values.clone());
    }
    columns
}

/// Rows `[from, from + rows)` of a longer block.
pub(crate) fn slice(block: &TickBlock, from: usize, rows: usize) -> TickBlock {
    let cut = |columns: &SymbolColumns| {
        let mut out = SymbolColumns::new();
        for source in Source::ALL {
            if let Some(column) = columns.get(*source) {
                out.set(*source, column[from..from + rows].to_vec());
            }
        }
        out
    };
    TickBlock { first: block.first + from as i64, rows, symbols: block.symbols.iter().map(cut).collect() }
}

/// Noise without a dependency: splitmix64.
pub(crate) struct Noise(pub u64);

impl Noise {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About normal.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// Ties, zeros, gaps, noise and the odd outlier.
    pub(crate) fn awkward(&mut self) -> f64 {
        match self.next() % 16 {
            0..3 => f64::NAN,
            3..5 => 0.0,
            5..9 => (self.next() % 5) as f64 - 2.0,
            9 => 1000.0 * self.normal(),
            _ => self.normal(),
        }
    }
}

/// Awkward data for three symbols; the third lacks a column.
pub(crate) fn awkward_block(seed: u64, first: BarIndex, rows: usize) -> TickBlock {
    let mut noise = Noise(seed);
    let mut symbols = Vec::new();
    for s in 0..3 {
        let mut columns = SymbolColumns::new();
        for source in SOURCES {
            if s == 2 && source == Source::Oi {
                continue;
            }
            columns.set(source, (0..rows).map(|_| noise.awkward()).collect());
        }
        symbols.push(columns);
    }
    TickBlock { first, rows, symbols }
}

pub(crate) fn three_symbols() -> Vec<Symbol> {
    vec![symbol("BTCUSDT"), symbol("ZECUSDT"), symbol("ADAUSDT")]
}

/// Kinds of nodes that a gene may ask for.
pub(crate) const KINDS: u8 = 65;

/// One node of a random graph.
pub(crate) type Gene = (u8, [u8; 4], u8, u8);

/// Any graph: every operator can appear, over any earlier nodes of the right type.
pub(crate) fn decode(genes: &[Gene]) -> Arc<Graph> {
    let mut b = Build::default();
    let mut nums: Vec<NodeId> = SOURCES.iter().map(|s| b.source(*s)).collect();
    nums.push(b.number(2.0));
    let zero = b.number(0.0);
    nums.push(zero);
    let mut bools: Vec<NodeId> = Vec::new();
    for s in [0, 1, 2] {
        bools.push(b.greater(nums[s], zero));
    }
    let never = b.node(Op::Truth(Some(false)), &[]);
    bools.push(never);
    for gene in genes {
        add_gene(&mut b, &mut nums, &mut bools, never, *gene);
    }
    b.done()
}

const WINDOWS: [u32; 8] = [1, 2, 3, 5, 8, 13, 33, 70];

fn add_gene(b: &mut Build, nums: &mut Vec<NodeId>, bools: &mut Vec<NodeId>, never: NodeId, gene: Gene) {
    let (kind, picks, p, q) = gene;
    let n = |i: usize| nums[nums.len() - 1 - usize::from(picks[i]) % nums.len()];
    let c = |i: usize| bools[bools.len() - 1 - usize::from(picks[i]) % bools.len()];
    let window = WINDOWS[usize::from(p) % WINDOWS.len()];
    let min = match q % 3 {
        0 => 1,
        1 => window,
        _ => window.div_ceil(2),
    };
    let k = u32::from(p % 6);
    let clock = (q >= 170).then(|| c(3));
    let rolling = |f| (Op::Roll { f, window, min }, vec![n(0)]);
    let counting = |f| (Op::Roll { f, window, min }, vec![c(0)]);
    let pair = |f| (Op::Roll2 { f, window, min }, vec![n(0), n(1)]);
    let quantile = [0.0, 0.1, 0.25, 0.5, 0.97, 1.0][usize::from(q) % 6];
    // Numbers.
    let kind = kind % KINDS;
    let number: Option<(Op, Vec<NodeId>)> = match kind {
        0 => Some((Op::Add, vec![n(0), n(1)])),
        1 => Some((Op::Sub, vec![n(0), n(1)])),
        2 => Some((Op::Mul, vec![n(0), n(1)])),
        3 => Some((Op::Div, vec![n(0), n(1)])),
        4 => Some((Op::Pow, vec![n(0), n(1)])),
        5 => Some((Op::Neg, vec![n(0)])),
        6 => Some((Op::Abs, vec![n(0)])),
        7 => Some((Op::Sign, vec![n(0)])),
        8 => Some((Op::Ln, vec![n(0)])),
        9 => Some((Op::Exp, vec![n(0)])),
        10 => Some((Op::Sqrt, vec![n(0)])),
        11 => Some((Op::NormCdf, vec![n(0)])),
        12 => Some((Op::NormInv, vec![n(0)])),
        13 => Some((Op::Min2, vec![n(0), n(1)])),
        14 => Some((Op::Max2, vec![n(0), n(1)])),
        15 => Some((Op::Clip, vec![n(0), n(1), n(2)])),
        16 => Some((Op::If, vec![c(0), n(1), n(2)])),
        17 => Some((Op::Coalesce, vec![n(0), n(1)])),
        18 => Some((Op::Lag { k }, vec![n(0)])),
        19 => Some((Op::Diff { k }, vec![n(0)])),
        20 => Some((Op::PctChange { k }, vec![n(0)])),
        21 => Some((Op::Ffill { max: k }, vec![n(0)])),
        22 => Some(rolling(Rolling::Sum)),
        23 => Some(rolling(Rolling::Mean)),
        24 => Some(rolling(Rolling::Std)),
        25 => Some(rolling(Rolling::Var)),
        26 => Some(rolling(Rolling::Z)),
        27 => Some(rolling(Rolling::Skew)),
        28 => Some(rolling(Rolling::Min)),
        29 => Some(rolling(Rolling::Max)),
        30 => Some(rolling(Rolling::Quantile(Literal::new(quantile)))),
        31 => Some(rolling(Rolling::PctRank)),
        32 => Some(rolling(Rolling::AgeMax)),
        33 => Some(rolling(Rolling::AgeMin)),
        34 => Some(counting(Rolling::Count)),
        35 => Some(pair(Rolling2::Corr)),
        36 => Some(pair(Rolling2::Cov)),
        37 => Some(pair(Rolling2::Beta)),
        38 => Some((Op::TodMean { days: 1 + k % 2, half: k, min: 1 + k % 3 }, vec![n(0)])),
        39 => Some((Op::Since, vec![c(0)])),
        40 => Some((Op::At, vec![n(0), c(1)])),
        41 => Some((Op::Ewm { halflife: Literal::new(f64::from(k) + 0.5), min }, vec![n(0)])),
        42 => Some((Op::Vpin { buckets: 1 + k, min: 1 + k / 2 }, vec![n(0), n(1), n(2)])),
        43 => Some((Op::Of(SymbolRef::Named(symbol("ZECUSDT"))), vec![n(0)])),
        44 => Some((
            Op::Of(SymbolRef::Leader { lead: symbol("BTCUSDT"), other: symbol("ADAUSDT") }),
            vec![n(0)],
        )),
        45 => {
            let f = [Universe::Median, Universe::Mean, Universe::Std, Universe::Rank][usize::from(p) % 4];
            Some((Op::Universe { f, min: 1 + k % 3 }, vec![n(0)]))
        }
        46 => Some((Op::Hour, vec![])),
        47 => Some((Op::Minute, vec![])),
        48 => Some((Op::Weekday, vec![])),
        64 => Some(rolling(Rolling::Wma)),
        _ => None,
    };
    if let Some((op, inputs)) = number {
        let clockable = matches!(kind, 18..=42 | 64);
        let id = b.clocked(op, &inputs, clock.filter(|_| clockable));
        nums.push(id);
        return;
    }
    let cmp = [Cmp::Lt, Cmp::Le, Cmp::Gt, Cmp::Ge, Cmp::Eq, Cmp::Ne][usize::from(p) % 6];
    let (op, inputs) = match kind {
        49 => (Op::Compare(cmp), vec![n(0), n(1)]),
        50 => (Op::And, vec![c(0), c(1)]),
        51 => (Op::Or, vec![c(0), c(1)]),
        52 => (Op::Not, vec![c(0)]),
        53 => (Op::Known, vec![n(0)]),
        54 => counting(Rolling::Any),
        55 => counting(Rolling::All),
        56 => (Op::Rising, vec![c(0)]),
        57 => (Op::Falling, vec![c(0)]),
        58 => (Op::Held { n: 1 + k }, vec![c(0)]),
        59 => (Op::CrossesAbove, vec![n(0), n(1)]),
        60 => (Op::CrossesBelow, vec![n(0), n(1)]),
        61 => (Op::Latch, vec![c(0), c(1)]),
        62 => (Op::Episode { max: k }, vec![c(0), c(1)]),
        _ => {
            let has_exit = q % 2 == 0;
            let exit = if has_exit { c(1) } else { never };
            let rule = EventNode {
                onset: if p % 2 == 0 { Onset::Rising } else { Onset::Level },
                spacing_bars: k,
                max_bars: (q % 3 != 0).then_some(1 + k),
                has_exit,
                undirected: q % 5 == 0,
                snapshot: vec![Output { name: "x".into(), node: n(2) }],
                needs: if q % 7 == 0 { vec![Source::Close, Source::Oi] } else { vec![Source::Close] },
                ..rule()
            };
            let (event, detect) = b.event([c(0), exit, n(2), n(3)], rule);
            let active = b.node(Op::Active(event), &[detect]);
            let direction = b.node(Op::EventDir(event), &[detect]);
            bools.extend([detect, active]);
            nums.push(direction);
            return;
        }
    };
    let clockable = (54..=62).contains(&kind);
    let id = b.clocked(op, &inputs, clock.filter(|_| clockable));
    bools.push(id);
}
