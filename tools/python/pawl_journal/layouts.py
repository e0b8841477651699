"""The records: layouts, codes and flags as journal/src/record declares them; a test compares the two."""

import struct

import numpy as np

_RECORDS = """
run_started 1 1: settings_hash:u64 build_hash:u64 settings_len:u32 environment_len:u32 runs_before:u32 reserved:u32
tick 3 1: source_time:Time source_sequence:u64 bid:Points ask:Points last:Points volume:Lots instrument:InstrumentId
    feed:FeedId flags:TickFlags marks:TickMarks
execution_report 4 1: client_order_id:ClientOrderId venue_order_id:u64 execution_sequence:u64 source_time:Time
    price:Points lots:Lots leaves_lots:Lots commission:Micros kind:ExecutionKind reason:RejectReason
    instrument:InstrumentId side:Side reserved:u64
timer 5 1: due:Time interval_ns:i64
command 6 1: request:u64 value:i64 action:CommandAction limit:LimitName source:CommandSource reason:CommandReason
    reserved:u64
link_changed 7 1: from:i64 to:i64 link:LinkKind state:LinkState feed:FeedId instrument:InstrumentId reserved:u64
reconciled 8 1: client_order_id:ClientOrderId venue_order_id:u64 execution_sequence:u64 price:Points lots:Lots
    filled_lots:Lots balance:Micros item:StatementItem instrument:InstrumentId side:Side reserved:u16
run_ended 9 1: ticks:u64 ticks_duplicate:u64 ticks_backwards:u64 ticks_crossed:u64 ticks_nonpositive:u64
    ticks_jump:u64 ticks_dropped:u64 reason:EndReason reserved:u16 reserved2:u32
bar_closed 65 1: open_time:Time close_time:Time open:Points high:Points low:Points close:Points volume:u64 ticks:u32
    instrument:InstrumentId reserved:u16 number:u64
features 66 1: schema_hash:u64 instrument:InstrumentId columns:u16 ready:u16 reserved:u16
prediction 67 1: model_hash:u64 age_ns:i64 probabilities:f32x4 score:f32 agent:AgentId instrument:InstrumentId
    classes:u16 vote:Vote reserved:u32
signal 68 1: age_ns:i64 score:f32 confidence:f32 instrument:InstrumentId direction:Vote agents:u16 flags:SignalFlags
    reserved:u64
verdict 69 1: reasons:Reasons target:ClientOrderId wanted_lots:Lots approved_lots:Lots price:Points reference:Points
    position_lots:Lots valid_for_ns:i64 instrument:InstrumentId side:Side outcome:Outcome action:OrderAction
    source:VerdictSource order_type:OrderType time_in_force:TimeInForce reserved:u16
order_request 70 1: client_order_id:ClientOrderId lots:Lots price:Points valid_until:Time quote_age_ns:i64
    instrument:InstrumentId side:Side action:OrderAction order_type:OrderType time_in_force:TimeInForce reserved:u16
    reserved2:u32
order_changed 71 1: client_order_id:ClientOrderId lots:Lots filled_lots:Lots filled_cost:i64 price:Points
    instrument:InstrumentId side:Side from:OrderState to:OrderState event:OrderEvent reserved:u16 reserved2:u32
position_changed 72 1: net_lots:Lots entry_cost:i64 realised:Micros unrealised:Micros commission:Micros
    working_buy_lots:u32 working_sell_lots:u32 instrument:InstrumentId reserved:u16 reserved2:u32
equity_changed 73 1: balance:Micros equity:Micros peak:Micros drawdown_ppm:i64 drawdown_ppm_max:i64 daily:Micros
alert 74 1: client_order_id:ClientOrderId observed:i64 limit:i64 instrument:InstrumentId code:AlertCode
    severity:Severity reserved:u16 reserved2:u64
checkpoint 75 1: hash:u64 of:CheckpointOf reserved:u16 reserved2:u32
stamps 76 1: received:Time published_ns:u32 taken_ns:u32 feature_ns:u32 inference_ns:u32 risk_ns:u32 order_ns:u32
    committed_before_ns:u32 reserved:u32
"""

_CODES = """
ExecutionKind: 1 accepted 2 rejected 3 partially_filled 4 filled 5 cancelled 6 expired 7 replaced 8 cancel_rejected
    9 replace_rejected 10 unknown
RejectReason: 0 none 1 venue 2 no_quote 3 price_moved 4 volume 5 unknown_order 6 too_late 7 duplicate_id 8 not_fillable
CommandAction: 1 halt 2 resume 3 reduce-only 4 flatten 5 limit 6 note
CommandSource: 0 operator 1 engine
CommandReason: 0 none 1 journal_low 2 journal_out 3 ring_full
LimitName: 0 none 1 max_position 2 max_order 3 price_band 4 max_quote_age 5 max_prediction_age 6 max_spread
    7 max_order_rate 8 max_open_orders 9 max_daily_loss 10 max_drawdown
StatementItem: 1 order 2 position 3 balance 4 end
LinkKind: 1 feed 2 venue
LinkState: 1 up 2 down 3 gap 4 stale
EndReason: 1 feed_ended 2 stopped 3 feed_failed 4 environment_failed
CheckpointOf: 1 feature 2 inference 3 risk 4 order 5 output
Vote: 0 flat 1 up 65535 down
Outcome: 1 approved 2 refused
VerdictSource: 1 signal 2 command 3 limit
OrderAction: 1 new 2 cancel 3 replace 4 query
OrderType: 1 market 2 limit
TimeInForce: 1 ioc 2 fok 3 gtc
OrderState: 0 none 1 pending_new 2 working 3 partially_filled 4 pending_cancel 5 pending_replace 6 unknown 7 filled
    8 cancelled 9 expired 10 rejected
OrderEvent: 1 submit 2 cancel 3 replace 4 accepted 5 rejected 6 partially_filled 7 filled 8 cancelled 9 expired
    10 replaced 11 cancel_rejected 12 replace_rejected 13 unknown 14 query
    15 reconciled
Severity: 1 info 2 warning 3 critical
AlertCode: 1 halted 2 resumed 3 reduce_only 4 flatten 5 limit_changed 6 daily_loss 7 drawdown 8 impossible_report
    9 unknown_order 10 overfill 11 late_fill 12 duplicate_report 13 order_unknown 14 link 15 order_capacity
    16 command_refused 17 journal_low 18 journal_out 19 order_differs 20 position_differs 21 balance_differs
    22 ring_full
Side: 1 buy 2 sell
"""

_FLAGS = """
TickFlags: 1 bid 2 ask 3 last 4 volume 5 buy 6 sell
TickMarks: 0 backwards 1 duplicate 2 crossed 3 nonpositive 4 jump 5 gap
SignalFlags: 0 unready 1 stale
Reasons: 0 halted 1 reduce_only 2 max_position 3 max_order 4 min_volume 5 volume_step 6 price_band 7 stale_tick
    8 marked_tick 9 stale_prediction 10 unready_prediction 11 max_spread 12 max_order_rate 13 max_open_orders
    14 max_daily_loss 15 max_drawdown 16 feed_gap 17 venue_down 18 unknown_order 19 no_conversion
    20 not_reconciled
"""

_WIDTHS = {
    "u64": "Q",
    "i64": "q",
    "u32": "I",
    "u16": "H",
    "f32": "f",
    "f32x4": "4f",
    "Time": "q",
    "Points": "q",
    "Lots": "q",
    "Micros": "q",
    "ClientOrderId": "Q",
    "InstrumentId": "H",
    "FeedId": "H",
    "AgentId": "H",
    "Reasons": "Q",
}
_NUMPY = {"Q": "<u8", "q": "<i8", "I": "<u4", "H": "<u2", "f": "<f4", "4f": ("<f4", (4,))}


def _names(text):
    """Tables of numbers and names, by the type they belong to."""
    tables = {}
    for line in text.replace("\n    ", " ").strip().splitlines():
        name, entries = line.split(":")
        words = entries.split()
        tables[name] = dict(zip(map(int, words[::2]), words[1::2]))
    return tables


CODES = _names(_CODES)
"""Names of the numbers of every code type; a number that is not there is of a later version."""

FLAGS = _names(_FLAGS)
"""Names of the bits of every flag type, by the bit's number."""


class Layout:
    """Where the fields of one kind of record are."""

    def __init__(self, name, code, version, fields):
        self.name, self.code, self.version = name, code, version
        self.types, self.readers = {}, {}
        names, formats, offsets, at = [], [], [], 0
        for field, kind in fields:
            reader = struct.Struct("<" + _WIDTHS.get(kind, "H"))
            if not field.startswith("reserved"):
                self.types[field] = kind
                self.readers[field] = (reader, at)
                names.append(field)
                formats.append(_NUMPY[_WIDTHS.get(kind, "H")])
                offsets.append(at)
            at += reader.size
        self.size = at
        self.body = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": at})
        self.row = np.dtype([("sequence", "<u8"), ("time", "<i8"), *zip(names, formats)])


def _layouts(text):
    for line in text.replace("\n    ", " ").strip().splitlines():
        head, fields = line.split(": ")
        name, code, version = head.split()
        yield Layout(name, int(code), int(version), [tuple(field.split(":")) for field in fields.split()])


BY_NAME = {layout.name: layout for layout in _layouts(_RECORDS)}
BY_CODE = {layout.code: layout for layout in BY_NAME.values()}


def kinds():
    """The names of all kinds of records, in code order."""
    return list(BY_NAME)


def layout_of(kind):
    if kind not in BY_NAME:
        raise ValueError(f"{kind!r} is no kind of record; there are {', '.join(BY_NAME)}")
    return BY_NAME[kind]


def label_of(kind, number):
    """What a code or a set of flags says; other numbers as they are."""
    if kind in FLAGS:
        return [name for bit, name in FLAGS[kind].items() if number >> bit & 1]
    return CODES[kind].get(number, number) if kind in CODES else number


def labels(kind, field, values):
    """The names of a column of codes, as an array of text: `labels("order_request", "side", requests["side"])`.

    A number without a name stays a number, as text. Flags become their names between bars.
    """
    type_name = layout_of(kind).types[field]
    numbers, places = np.unique(np.asarray(values), return_inverse=True)
    found = [label_of(type_name, int(number)) for number in numbers]
    texts = ["|".join(it) if isinstance(it, list) else str(it) for it in found]
    return np.array(texts, dtype=np.str_)[places] if texts else np.array([], dtype=np.str_)
