"""What the lesson says, in English and in Simplified Chinese."""

LANGUAGES = {"en": "English", "zh": "简体中文"}

SCENES = {
    "xor": {
        "en": (
            "XOR",
            "Four samples, four sigmoid neurons, two classes: the smallest network that needs a layer.",
        ),
        "zh": ("异或", "四个样本，四个 sigmoid 神经元，两个类别：最小的、离不开隐藏层的网络。"),
    },
    "batch": {
        "en": (
            "A batch of three",
            "Two layers with ReLU. Each weight belongs to all samples: its gradient is a sum over them.",
        ),
        "zh": ("三个样本的小批量", "两层网络与 ReLU。每个权重由全部样本共用，所以它的梯度是对样本求和。"),
    },
    "mazur": {
        "en": (
            "Mazur's example",
            "The best-known worked example (M. Mazur, 2015). Its published numbers are a test here.",
        ),
        "zh": (
            "Mazur 的例子",
            "流传最广的反向传播手算例子（M. Mazur，2015）。文中公布的数值在这里是一项测试。",
        ),
    },
    "kink": {
        "en": (
            "ReLU at zero",
            "There is no derivative at 0. Both frameworks take 0, central differences the mean of the sides.",
        ),
        "zh": ("ReLU 在零点", "零点处没有导数。两个框架都取 0；中心差分取两侧的平均，即一半。"),
    },
    "cross_entropy": {
        "en": (
            "Softmax with cross-entropy",
            "Through both together the gradient is p - t, divided by the number of samples.",
        ),
        "zh": ("Softmax 与交叉熵", "两者合起来，梯度就是 p - t 再除以样本数。"),
    },
    "batch_norm": {
        "en": (
            "Batch normalisation",
            "An entry moves the mean and the variance of its whole column, so the gradient has three parts.",
        ),
        "zh": ("批归一化", "一个元素会移动整列的均值与方差，所以梯度有三部分。"),
    },
    "convolution": {
        "en": (
            "A 3x3 convolution",
            "The same nine weights at nine places. The gradient by the picture is the window, turned round.",
        ),
        "zh": ("3x3 卷积", "同样的九个权重用在九个位置。对图像的梯度用的是翻转过的窗口。"),
    },
    "attention": {
        "en": (
            "One attention head",
            "Scores, softmax, mixture. Three paths lead back to x, and their gradients add up.",
        ),
        "zh": ("一个注意力头", "打分、softmax、加权混合。有三条路回到 x，它们的梯度相加。"),
    },
    "learning": {
        "en": (
            "Learning",
            "Mini-batch, gradient, update, repeat: the XOR network, and its loss for 500 updates.",
        ),
        "zh": ("学习", "小批量、梯度、更新、重复：异或网络，以及 500 次更新中的损失。"),
    },
}

WORDS = {
    "title": {"en": "Backpropagation, step by step, in two frameworks", "zh": "反向传播：一步一步，两个框架"},
    "scene": {"en": "Scene", "zh": "场景"},
    "language": {"en": "Language", "zh": "语言"},
    "forward": {"en": "Forward", "zh": "正向"},
    "backward": {"en": "Backward", "zh": "反向"},
    "update": {"en": "Update", "zh": "更新"},
    "repeat": {"en": "Repeat", "zh": "重复"},
    "start": {"en": "What is given", "zh": "已知"},
    "graph": {"en": "Graph: value above, gradient below", "zh": "计算图：上为数值，下为梯度"},
    "formula": {"en": "Formula", "zh": "公式"},
    "symbols": {"en": "in symbols", "zh": "符号"},
    "shapes": {"en": "in shapes", "zh": "形状"},
    "numbers": {"en": "in numbers", "zh": "数值"},
    "tensors": {"en": "Tensors: choose an entry", "zh": "张量：选择一个元素"},
    "compare": {"en": "Side by side", "zh": "并排比较"},
    "entry": {"en": "entry", "zh": "元素"},
    "numeric": {"en": "numeric", "zh": "数值微分"},
    "difference": {"en": "NumPy − PyTorch", "zh": "NumPy − PyTorch"},
    "code": {"en": "The code that ran", "zh": "运行的代码"},
    "agree": {
        "en": "The two sides agree, as far as rounding allows.",
        "zh": "两边一致（在舍入允许的范围内）。",
    },
    "differ": {"en": "The two sides differ in {n} entries.", "zh": "两边有 {n} 个元素不一致。"},
    "previous": {"en": "Previous step", "zh": "上一步"},
    "next": {"en": "Next step", "zh": "下一步"},
    "play": {"en": "Play", "zh": "播放"},
    "pause": {"en": "Pause", "zh": "暂停"},
    "step": {"en": "Step", "zh": "步骤"},
    "precision": {"en": "All digits", "zh": "全部位数"},
    "predict": {"en": "Predict, then reveal", "zh": "先猜，再看"},
    "guess": {"en": "Your number for the marked entry", "zh": "你认为所标元素是多少"},
    "reveal": {"en": "Reveal", "zh": "揭晓"},
    "right": {"en": "Right.", "zh": "对了。"},
    "wrong": {"en": "Not quite: it is {v}.", "zh": "不对：应为 {v}。"},
    "break": {"en": "Break it", "zh": "弄坏它"},
    "nothing": {"en": "nothing is broken", "zh": "没有错误"},
    "first": {"en": "The first wrong number is in step {n}.", "zh": "第一个错误的数在第 {n} 步。"},
    "says": {"en": "What the check says of this layer", "zh": "检查器对这一层的判断"},
    "loss": {"en": "Loss", "zh": "损失"},
    "keys": {
        "en": "Keys: ← → step, space plays, Home and End, arrow keys in a table move the entry.",
        "zh": "按键：← → 换步，空格播放，Home 与 End，表格中方向键换元素。",
    },
    "sheet": {"en": "Worksheet: fill in the blanks", "zh": "练习纸：填空"},
}
