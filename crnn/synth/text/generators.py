"""Generators of text: each draws the text of one line from a `Lexicon`.

A generator is a function of a random source and a lexicon, listed in `SOURCES`;
presets name generators and how often each is used.
"""

import random
import re
import string
from collections.abc import Callable

from crnn.synth.text.prose import en_phrase, en_running, zh_cut, zh_phrase, zh_running, zh_window
from crnn.synth.text.words import Lexicon

TextSource = Callable[[random.Random, Lexicon], str]


def _words(text: str) -> list[str]:
    return text.split()


_CAPITALS = string.ascii_uppercase
_PLATE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"  # no I, no O
_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_UNITS = _words(
    "kg g mg mL L cm mm m km ℃ % 元 个 件 年 月 天 kW V A Hz GB MB kg/m³ g/L mg/kg km/h m/s U/L "
    "mmol/L 元/月 °C μm ㎡ m²"
)
_ZH_UNITS = _words("万元 亿元 平方米 公里 毫升 毫克 千克 分钟 小时 周年 人次")
_MONTHS = _words("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec")
_CURRENCIES = ("¥", "￥", "$", "RM", "€", "£", "RMB ", "USD ", "")
_PAIRS = tuple(map(tuple, ("（）", "()", "《》", "【】", "“”", "[]")))
_FIELDS_ZH = _words(
    "姓名 性别 电话 地址 单位 日期 编号 金额 合计 数量 单价 备注 规格 型号 品名 产地 "
    "生产日期 保质期 执行标准 联系人 收款人 开户行 账号 发票号码 订单号 交易时间 应收 实收 找零"
)
_FIELDS_EN = _words(
    "Total Subtotal Date Time Cashier Invoice No. Tel Fax Qty Price Amount Change Cash Tax GST "
    "Discount Rounding Item Description Order Table Receipt Ref Staff Member Payment Card"
)


def _digits(rng: random.Random, low: int, high: int | None = None) -> str:
    return "".join(rng.choices(string.digits, k=rng.randint(low, high or low)))


def digit_string(rng: random.Random, lexicon: Lexicon) -> str:
    """1 to 14 digits."""
    return _digits(rng, 1, 14)


def number(rng: random.Random, lexicon: Lexicon) -> str:
    """An integer, grouped, decimal, signed, per cent or with a unit."""
    kind = rng.random()
    value = 10 ** rng.uniform(0, 7)
    if kind < 0.25:
        return f"{int(value)}"
    if kind < 0.45:
        return f"{int(value):,}"
    if kind < 0.65:
        return f"{rng.choice(('', '', '-', '+'))}{value:.{rng.randint(1, 4)}f}"
    if kind < 0.7:
        by = rng.choice(("×", "×", "x", " × ", " x ", "*", "~", "-", "/", "—", "–"))
        return by.join(str(rng.randint(1, 3000)) for _ in range(rng.choice((2, 2, 3))))
    if kind < 0.85:
        return f"{rng.uniform(0, 130):.{rng.randint(0, 2)}f}{rng.choice('%%％')}"
    return f"{value % 5000:.{rng.randint(0, 2)}f}{rng.choice(('', ' '))}{rng.choice(_UNITS)}"


def amount(rng: random.Random, lexicon: Lexicon) -> str:
    """Money, such as ``¥1,280.00`` or ``-647.30``."""
    value = 10 ** rng.uniform(0, rng.choice((2, 3, 5)))
    plain = f"{value:,.2f}" if rng.random() < 0.7 else f"{value:.2f}"
    text = rng.choice(("", "", "", "-")) + rng.choice(_CURRENCIES) + plain
    return text + rng.choice(("", "", "", "元", " SR", " Z"))


def date(rng: random.Random, lexicon: Lexicon) -> str:
    """A date in one of the usual notations, sometimes with a time of day."""
    year, month, day = rng.randint(1949, 2035), rng.randint(1, 12), rng.randint(1, 28)
    text = rng.choice((
        f"{year}-{month:02}-{day:02}", f"{year}/{month:02}/{day:02}", f"{year}.{month}.{day}",
        f"{year}年{month}月{day}日", f"{year} 年 {month} 月 {day} 日", f"{month}月{day}日",
        f"{day:02}/{month:02}/{year}", f"{day:02}-{month:02}-{year % 100:02}", f"{year}年",
        f"{day} {_MONTHS[month - 1]} {year}", f"{_MONTHS[month - 1]} {day}, {year}",
    ))  # fmt: skip
    return f"{text} {clock(rng, lexicon)}" if rng.random() < 0.25 else text


def clock(rng: random.Random, lexicon: Lexicon) -> str:
    """A time of day."""
    hour, minute = rng.randint(0, 23), rng.randint(0, 59)
    kind = rng.random()
    if kind < 0.4:
        return f"{hour:02}:{minute:02}"
    if kind < 0.8:
        return f"{hour:02}:{minute:02}:{rng.randint(0, 59):02}"
    return f"{hour % 12 + 1}:{minute:02} {rng.choice(('AM', 'PM', 'am', 'pm'))}"


def phone(rng: random.Random, lexicon: Lexicon) -> str:
    """A mobile, area-code, hot-line or international number."""
    return rng.choice((
        lambda: "1" + rng.choice("3456789") + _digits(rng, 9),
        lambda: f"0{_digits(rng, 2, 3)}-{_digits(rng, 7, 8)}",
        lambda: f"400-{_digits(rng, 3)}-{_digits(rng, 4)}",
        lambda: f"({_digits(rng, 2, 3)}) {_digits(rng, 3)}-{_digits(rng, 4)}",
        lambda: f"+{rng.randint(1, 99)} {_digits(rng, 2, 3)} {_digits(rng, 3)} {_digits(rng, 4)}",
        lambda: f"TEL:{_digits(rng, 2)}-{_digits(rng, 3)} {_digits(rng, 4)}",
    ))()  # fmt: skip


def code(rng: random.Random, lexicon: Lexicon) -> str:
    """An identifier of capitals, digits and separators, such as ``AX-2034/B``."""
    pool = rng.choice((_CAPITALS, string.digits, _CAPITALS + string.digits))
    parts = [
        "".join(rng.choices(pool if rng.random() < 0.7 else string.digits, k=rng.randint(1, 8)))
        for _ in range(rng.randint(1, 3))
    ]
    return rng.choice(("-", "-", "/", ".", "", "", "_", ":", "#")).join(parts)


def address(rng: random.Random, lexicon: Lexicon) -> str:
    """A web or mail address."""
    host = f"{lexicon.en(rng)}{rng.choice(('', lexicon.en(rng)))}".replace("'", "")
    host += rng.choice((".com", ".cn", ".com.cn", ".org", ".net", ".de", ".co.uk", ".com.my"))
    kind = rng.random()
    if kind < 0.4:
        return f"{rng.choice(('www.', 'http://www.', 'https://', ''))}{host}"
    name = lexicon.en(rng).replace("'", "") + rng.choice(("", _digits(rng, 1, 4)))
    return f"{name}@{host}" if kind < 0.8 else f"{host}/{name}"


def plate(rng: random.Random, lexicon: Lexicon) -> str:
    """A Chinese licence plate; one in eight is a new-energy one with six places."""
    head = rng.choice(_PROVINCES) + rng.choice(_PLATE_LETTERS)
    places = _PLATE_LETTERS + string.digits
    if rng.random() < 0.125:
        return head + rng.choice("DF") + rng.choice(places) + _digits(rng, 4)
    tail = rng.choices(string.digits, k=5)
    for place in rng.sample(range(5), rng.choices((0, 1, 2), (2, 5, 3))[0]):
        tail[place] = rng.choice(_PLATE_LETTERS)
    return head + "".join(tail)


def zh_word(rng: random.Random, lexicon: Lexicon) -> str:
    """One to three words, as signs and table cells have."""
    return "".join(lexicon.zh(rng) for _ in range(rng.choices((1, 2, 3), (5, 4, 1))[0]))


def zh_field(rng: random.Random, lexicon: Lexicon) -> str:
    """A form's field with its value, such as ``编号：AX-2034``."""
    field = rng.choice(_FIELDS_ZH) if rng.random() < 0.6 else zh_word(rng, lexicon)
    value = rng.choice((number, amount, date, phone, code, zh_word))(rng, lexicon)
    value = "" if rng.random() < 0.15 else value
    return field + rng.choice(("：", "：", ":", ": ", " ")).rstrip(" " * (not value)) + value


def zh_mixed(rng: random.Random, lexicon: Lexicon) -> str:
    """Chinese with numbers, Latin words and spaces, such as ``第3章 iPhone 使用 GB18401``."""
    if lexicon.corpus is not None and rng.random() < 0.6:
        for _ in range(6):  # until there is one with both
            text = zh_cut(rng, lexicon, rng.randint(5, 20))
            if re.search(r"[A-Za-z0-9]", text):
                return text
    parts = [lexicon.zh(rng)]
    for _ in range(rng.randint(1, 4)):
        kind = rng.random()
        if kind < 0.45:
            parts.append(lexicon.zh(rng))
        elif kind < 0.6:
            parts.append(str(rng.randint(0, 2100)))
        elif kind < 0.75:
            word = lexicon.en(rng)
            parts.append(rng.choice((word, word.capitalize(), word.upper())))
        elif kind < 0.85:
            parts.append(rng.choice((number, code, date, amount))(rng, lexicon))
        elif kind < 0.93:
            parts.append(f"{rng.randint(1, 999)}{rng.choice(_ZH_UNITS)}")
        else:
            opening, closing = rng.choice(_PAIRS)
            parts.append(opening + lexicon.zh(rng) + closing)
    return rng.choice(("", "", "", " ")).join(parts)


def zh_numbered(rng: random.Random, lexicon: Lexicon) -> str:
    """A numbered item, such as ``（三）注意事项`` or ``2. 用竖式计算。``."""
    n = rng.randint(1, 12)
    chinese = "一二三四五六七八九十"[(n - 1) % 10]
    head = rng.choice((
        f"{n}.", f"{n}. ", f"{n}、", f"（{chinese}）", f"{chinese}、", f"第{chinese}章 ",
        f"({n})", f"第{n}条 ", chr(0x2460 + (n - 1) % 10), f"{rng.randint(1, 9)}.{n} ",
    ))  # fmt: skip
    return head + zh_phrase(rng, lexicon)


def en_title(rng: random.Random, lexicon: Lexicon) -> str:
    """One to four words in capitals or title case, as on signs and in headings."""
    words = [lexicon.en(rng) for _ in range(rng.choices((1, 2, 3, 4), (5, 4, 2, 1))[0])]
    style = rng.random()
    if style < 0.5:
        return " ".join(words).upper()
    return " ".join(word.capitalize() if style < 0.85 else word for word in words)


def en_field(rng: random.Random, lexicon: Lexicon) -> str:
    """A receipt's or form's field, such as ``Cash Inv No.: 7727F713`` or ``TOTAL:``."""
    field = rng.choice(_FIELDS_EN)
    if rng.random() < 0.4:
        field += " " + (rng.choice(_FIELDS_EN) if rng.random() < 0.5 else lexicon.en(rng).title())
    field = field.upper() if rng.random() < 0.4 else field
    if rng.random() < 0.45:
        return field + rng.choice(("", ":", " :", "", "(RM)", " (%)", "($)"))
    value = rng.choice((number, amount, amount, date, clock, phone, code))(rng, lexicon)
    return field + rng.choice((": ", " : ", ":", " ", " # ", " ")) + value


def receipt_item(rng: random.Random, lexicon: Lexicon) -> str:
    """A line of a receipt: goods, quantities and prices, in capitals more often than not."""
    kind = rng.random()
    if kind < 0.3:
        return f"{rng.randint(1, 20)} {rng.choice(('X', 'x', '@', 'pc @', 'x RM', '×'))} " + amount(
            rng, lexicon
        )
    words = [lexicon.en(rng) for _ in range(rng.randint(1, 4))]
    text = " ".join(words)
    if kind < 0.5:
        text += f" {rng.randint(1, 999)}{rng.choice(('G', 'ML', 'KG', 'PCS', 'L', ''))}"
    elif kind < 0.6:
        text = f"{_digits(rng, 4, 13)} {text}"
    elif kind < 0.68:
        text = rng.choice(("***", "==", "--", "**")).join(("", text, ""))
    elif kind < 0.76:
        text = f"{text}, {rng.randint(10000, 99999)} {lexicon.en(rng)}"
    case = rng.random()
    return text.upper() if case < 0.6 else text.title() if case < 0.9 else text


def card(rng: random.Random, lexicon: Lexicon) -> str:
    """Returns a text of a bank card: number, month of expiry, holder."""
    kind = rng.random()
    if kind < 0.7:
        groups = rng.choice(
            ((4, 4, 4, 4), (4, 4, 4, 4), (4, 4, 4, 4, 3), (6, 13), (4, 6, 5), (16,), (19,), (4,))
        )
        first = rng.choice("3456666") + _digits(rng, groups[0] - 1)
        return " ".join((first, *(_digits(rng, size) for size in groups[1:])))
    month = f"{rng.randint(1, 12):02}/{rng.randint(18, 39)}"
    if kind < 0.85:
        return rng.choice(("", "", "VALID THRU ", "GOOD THRU ", f"{month}-", "CVN ")) + month
    words = rng.choices(_FIELDS_EN, k=2) if rng.random() < 0.2 else [lexicon.en(rng) for _ in "12"]
    return " ".join(words).upper()


def meter(rng: random.Random, lexicon: Lexicon) -> str:
    """Returns a text of a display or counter: a reading, a time, a temperature."""
    kind = rng.random()
    if kind < 0.25:
        return _digits(rng, 1, 8)
    if kind < 0.6:
        return f"{rng.choice(('', '', '', '-'))}{_digits(rng, 1, 5)}.{_digits(rng, 1, 3)}"
    if kind < 0.75:
        return f"{rng.randint(0, 23):{rng.choice(('', '02'))}}:{rng.randint(0, 59):02}"
    if kind < 0.85:
        return f"{_digits(rng, 2, 4)}-{_digits(rng, 1, 2)}-{_digits(rng, 1, 2)}"
    if kind < 0.92:
        return " ".join(_digits(rng, 1, 4) for _ in range(rng.randint(2, 3)))
    return (
        f"{_digits(rng, 1, 4)}{rng.choice(('', '.' + _digits(rng, 1, 2)))}{rng.choice(_UNITS[:12])}"
    )


def short(rng: random.Random, lexicon: Lexicon) -> str:
    """One to three characters, as in the cells of tables and on buttons."""
    kind = rng.random()
    if kind < 0.3:
        return lexicon.zh(rng)[: rng.choice((1, 1, 2, 3))]
    if kind < 0.5:
        return zh_window(rng, lexicon, rng.randint(1, 3))
    if kind < 0.75:
        return _digits(rng, 1, 3) + rng.choice(
            ("", "", "", "%", "元", "号", ".", "、", "）", "℃", "×")
        )
    if kind < 0.85:
        return "".join(rng.choices(string.ascii_letters + string.digits, k=rng.randint(1, 3)))
    if kind < 0.95:
        word = lexicon.en(rng)[:3]
        return rng.choice((word, word.capitalize(), word.upper()))
    return rng.choice("①②③④⑤⑥●○■□★√×→+#&@¥$€")


def ascii_words(rng: random.Random, lexicon: Lexicon) -> str:
    """Random letters, capitals, digits and punctuation in groups, as words are."""
    words = []
    for _ in range(rng.randint(1, 5)):
        kind = rng.random()
        length = rng.randint(1, 9)
        if kind < 0.5:
            word = "".join(rng.choices(string.ascii_lowercase, k=length))
            word = rng.choice((word, word, word.capitalize(), word.upper()))
        elif kind < 0.65:
            word = _digits(rng, 1, 6)
        elif kind < 0.85:
            word = code(rng, lexicon)
        else:
            word = "".join(rng.choices(string.punctuation, k=rng.randint(1, 2)))
        if rng.random() < 0.15:
            word += rng.choice(string.punctuation)
        words.append(word)
    return " ".join(words)


SOURCES: dict[str, TextSource] = {
    "address": address,
    "amount": amount,
    "ascii-words": ascii_words,
    "card": card,
    "clock": clock,
    "code": code,
    "date": date,
    "digits": digit_string,
    "en-field": en_field,
    "en-phrase": en_phrase,
    "en-running": en_running,
    "en-title": en_title,
    "meter": meter,
    "number": number,
    "phone": phone,
    "plate": plate,
    "receipt-item": receipt_item,
    "short": short,
    "zh-field": zh_field,
    "zh-mixed": zh_mixed,
    "zh-numbered": zh_numbered,
    "zh-phrase": zh_phrase,
    "zh-running": zh_running,
    "zh-window": zh_window,
    "zh-word": zh_word,
}
