"""The words of the page, in English and Simplified Chinese; scenes and operations have their own."""

LANGUAGES = {"en": "English", "zh": "简体中文"}

# The reason for each kind of step that is not an operation's.
WHY = {
    "start": {
        "en": "The data and the weights. The network is the graph: from what is given down to the loss L.",
        "zh": "数据与权重。网络就是这张计算图：从已知的量一直到损失 L。",
    },
    "sum": {
        "en": "It was used more than once, so the loss depends on it along several paths: their gradients "
        "add up.",
        "zh": "它被用了不止一次，损失经由几条路径依赖于它：各条路径的梯度相加。",
    },
    "update": {
        "en": "The gradient points uphill. So one step goes against it, as long as the learning rate says.",
        "zh": "梯度指向上坡。所以逆着它走一步，步长由学习率决定。",
    },
    "repeat": {
        "en": "The same again, each time on a new mini-batch. The curve is the loss of all four samples; "
        "p is the probability that the network gives to a 1.",
        "zh": "一遍又一遍，每次换一个小批量。曲线是全部四个样本的损失；p 是网络给出的“答案为 1”的概率。",
    },
}

WORDS = {
    "title": {"en": "Backpropagation, step by step, in two frameworks", "zh": "反向传播：一步一步，两个框架"},
    "scene": {"en": "Scene", "zh": "场景"},
    "language": {"en": "Language", "zh": "语言"},
    "start": {"en": "Given", "zh": "已知量"},
    "batch": {"en": "Mini-batch", "zh": "小批量"},
    "forward": {"en": "Forward", "zh": "前向"},
    "backward": {"en": "Backward", "zh": "反向"},
    "update": {"en": "Update", "zh": "更新"},
    "repeat": {"en": "Repeat", "zh": "重复"},
    "updates": {"en": "updates", "zh": "次更新"},
    "graph": {
        "en": "Graph: first value above, first gradient below",
        "zh": "计算图：上为首个元素的值，下为它的梯度",
    },
    "symbols": {"en": "in symbols", "zh": "符号"},
    "shapes": {"en": "in shapes", "zh": "形状"},
    "numbers": {"en": "in numbers", "zh": "代入数值"},
    "tensors": {"en": "Tensors: choose an entry, see what made it", "zh": "张量：选一个元素，看它由什么算出"},
    "given": {"en": "Tensors", "zh": "张量"},
    "compare": {"en": "Side by side", "zh": "并排比较"},
    "colon": {"en": ": ", "zh": "："},
    "entry": {"en": "entry", "zh": "元素"},
    "numeric": {"en": "numeric", "zh": "数值微分"},
    "difference": {"en": "difference", "zh": "差"},
    "code": {"en": "The code that ran", "zh": "实际运行的代码"},
    "agree": {
        "en": "The two sides agree, as far as rounding allows.",
        "zh": "两边一致（在舍入误差之内）。",
    },
    "differ": {
        "en": "The two sides differ in {n} of {m} entries.",
        "zh": "两边在 {m} 个元素中有 {n} 个不一致。",
    },
    "with_torch": {
        "en": "The numeric derivative sides with PyTorch: NumPy is wrong.",
        "zh": "数值微分与 PyTorch 一致：错的是 NumPy。",
    },
    "with_numpy": {
        "en": "The numeric derivative of NumPy's forward sides with NumPy: its backward is right, its "
        "forward is another function.",
        "zh": "对 NumPy 的前向做数值微分，结果与 NumPy 的梯度一致：反向没有错，是前向成了另一个函数。",
    },
    "numeric_apart": {
        "en": "The numeric derivative is another one: here is a kink.",
        "zh": "数值微分却不同：这里是不可导的折点。",
    },
    "previous": {"en": "Previous step", "zh": "上一步"},
    "next": {"en": "Next step", "zh": "下一步"},
    "play": {"en": "Play", "zh": "播放"},
    "pause": {"en": "Pause", "zh": "暂停"},
    "step": {"en": "Step", "zh": "步骤"},
    "jump": {"en": "Jump to a step", "zh": "跳到某一步"},
    "precision": {"en": "All digits", "zh": "全部位数"},
    "predict": {"en": "Predict, then reveal", "zh": "先猜，再看"},
    "guess": {"en": "Your number for the marked entry", "zh": "所标元素是多少"},
    "reveal": {"en": "Reveal", "zh": "揭晓"},
    "right": {"en": "Right: {v}.", "zh": "对了：{v}。"},
    "wrong": {"en": "Not quite: it is {v}.", "zh": "不对：应为 {v}。"},
    "answer": {"en": "It is {v}.", "zh": "是 {v}。"},
    "no_number": {
        "en": "This is not a number. Write it as −0.25 or −1/4, or leave it empty to see the number.",
        "zh": "这不是数。可写作 −0.25 或 −1/4；留空则直接揭晓。",
    },
    "break": {"en": "Break it", "zh": "弄坏它"},
    "nothing": {"en": "nothing is broken", "zh": "没有错误"},
    "first": {
        "en": "Go to the first wrong number: step {n}, {entry}",
        "zh": "去看第一个错误的数：第 {n} 步，{entry}",
    },
    "says": {
        "en": "What gradmirror's check says, given this layer alone: {layer}",
        "zh": "gradmirror 的检查器单看这一层 {layer}，给出的判断（英文原文）：",
    },
    "loss": {"en": "Loss", "zh": "损失"},
    "infinite": {"en": "NumPy: no number from update {n} on", "zh": "NumPy：从第 {n} 次更新起不再是数"},
    "how": {"en": "How to read this page", "zh": "怎样使用本页"},
    "how_step": {
        "en": "Press → or Play. Each step computes one tensor: forward, down to the loss L; then "
        "backward, up to the gradient of every weight.",
        "zh": "按 → 键或“播放”。每一步算出一个张量：先前向，往下算到损失 L；再反向，往上算出每个权重的梯度。",
    },
    "how_sides": {
        "en": "NumPy and PyTorch both ran this network. Their numbers stand side by side, and beside them "
        "a numeric derivative, which knows no formula: it moves each number a little and looks at L.",
        "zh": "NumPy 与 PyTorch 都真的运行了这个网络。两边的数并排列出，旁边是数值微分：它不用任何公式，"
        "只把每个数挪动一点点，看 L 怎么变。",
    },
    "how_click": {
        "en": "Click a cell, and the cells that made it light up. Click a box of the graph to go to its "
        "step.",
        "zh": "点一个格子，算出它的那些格子就会亮起。点计算图中的方框，就跳到那一步。",
    },
    "how_try": {
        "en": "Predict, then reveal: guess each number before you see it. Break it: switch a mistake on, "
        "and find out where it shows first.",
        "zh": "先猜，再看：先猜出一个数，再揭晓。弄坏它：故意犯一个错，看哪个数最先不对。",
    },
    "keys": {
        "en": "Keys: ← → step, space plays, Home and End; in a table the arrow keys move the entry.",
        "zh": "按键：← → 换步，空格播放，Home 与 End 到首尾；在表格中方向键换元素。",
    },
    "sheet": {"en": "Worksheet", "zh": "练习纸"},
}
