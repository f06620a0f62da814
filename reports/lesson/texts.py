"""What the lesson says, in English and in Simplified Chinese."""

LANGUAGES = {"en": "English", "zh": "简体中文"}

SCENES = {
    "xor": {
        "en": (
            "XOR",
            "Four samples, four sigmoid neurons, two classes. One layer alone cannot learn XOR; two can.",
        ),
        "zh": ("异或", "四个样本，四个 sigmoid 神经元，两个类别。单层网络学不会异或，两层就可以。"),
    },
    "batch": {
        "en": (
            "A batch of three",
            "Two layers with ReLU. Each weight serves all three samples: its gradient is a sum over them.",
        ),
        "zh": ("三个样本的小批量", "两层网络与 ReLU。每个权重由三个样本共用，所以它的梯度是对样本求和。"),
    },
    "mazur": {
        "en": (
            "Mazur's example",
            "The best-known worked example (M. Mazur, 2015). A test compares its published numbers with "
            "these.",
        ),
        "zh": (
            "Mazur 的例子",
            "流传最广的反向传播手算例子（M. Mazur，2015）。有一项测试拿文中公布的数值与这里的核对。",
        ),
    },
    "kink": {
        "en": (
            "ReLU at zero",
            "At 0 ReLU has no derivative. Both frameworks take 0; central differences give the mean of "
            "the slopes on both sides, a half.",
        ),
        "zh": (
            "ReLU 在零点",
            "ReLU 在零点没有导数。两个框架都取 0；中心差分得到左右两侧斜率的平均，即二分之一。",
        ),
    },
    "cross_entropy": {
        "en": (
            "Softmax with cross-entropy",
            "Two steps back from the loss, all else cancels: the gradient is p − t over the number of "
            "samples.",
        ),
        "zh": ("Softmax 与交叉熵", "从损失往回走两步，其余的都抵消了：梯度就是 p − t 除以样本数。"),
    },
    "batch_norm": {
        "en": (
            "Batch normalisation",
            "An entry moves the mean and the variance of its whole column, so the gradient has three parts.",
        ),
        "zh": ("批归一化", "一个元素会改变整列的均值与方差，所以梯度有三部分。"),
    },
    "convolution": {
        "en": (
            "A 3×3 convolution",
            "The same nine weights at nine places. To the picture, the error goes back through the kernel "
            "turned round.",
        ),
        "zh": ("3×3 卷积", "同样的九个权重用在九个位置。误差经过翻转的卷积核传回图像。"),
    },
    "attention": {
        "en": (
            "One attention head",
            "Scores, softmax, weighted sum. Three paths lead back to x, and their gradients add up.",
        ),
        "zh": ("一个注意力头", "打分、softmax、加权求和。有三条路回到 x，它们的梯度相加。"),
    },
    "learning": {
        "en": (
            "Learning in four steps",
            "XOR again, three samples at a time: draw a mini-batch, find the gradient, update, repeat.",
        ),
        "zh": ("学习的四个步骤", "还是异或，每次取三个样本：抽取小批量、计算梯度、更新参数、重复。"),
    },
}

WHY = {
    "start": {
        "en": "The data and the weights. The network is the graph: from what is given down to the loss L.",
        "zh": "数据与权重。网络就是这张计算图：从已知的量一直到损失 L。",
    },
    "draw": {
        "en": "A few samples, drawn at random, stand for all: a step is cheap, and on average it points "
        "the same way. The same seed draws the same samples in both frameworks.",
        "zh": "随机抽出几个样本来代表全体：每一步计算量小，平均来看方向却不变。随机种子相同，两个框架抽到"
        "的样本就相同。",
    },
    "take": {
        "en": "The rows with these numbers are the mini-batch.",
        "zh": "取出这些编号对应的行，就是小批量。",
    },
    "linear": {
        "en": "Each entry: a sample's row of inputs times a neuron's row of weights, plus its bias.",
        "zh": "每个元素：一个样本的输入行与一个神经元的权重行逐项相乘再求和，加上偏置。",
    },
    "linear.without_bias": {
        "en": "Each entry: a row of x times a row of the weights.",
        "zh": "每个元素：x 的一行与权重的一行逐项相乘再求和。",
    },
    "linear.weight": {
        "en": "A weight multiplies one input in every sample. So its gradient is that input times the "
        "error that comes back, summed over the samples.",
        "zh": "一个权重在每个样本里都乘同一个位置的输入。所以它的梯度是该输入乘以传回的误差，再对样本求和。",
    },
    "linear.bias": {
        "en": "The bias is added once to every sample, with slope 1. So its gradient is the sum of the "
        "errors.",
        "zh": "偏置在每个样本里各加一次，斜率为 1。所以它的梯度是各误差之和。",
    },
    "linear.input": {
        "en": "An input goes to every neuron. So the errors of all neurons come back, each through its "
        "weight, and add up.",
        "zh": "一个输入送往每个神经元。所以各神经元的误差都沿着自己的权重传回来，相加。",
    },
    "sigmoid": {
        "en": "Presses any number into the range from 0 to 1.",
        "zh": "把任何数压到 0 与 1 之间。",
    },
    "sigmoid.input": {
        "en": "Chain rule: the error times the slope. The sigmoid's slope is its output times one minus "
        "its output, at most 1/4.",
        "zh": "链式法则：误差乘以斜率。sigmoid 的斜率是“输出 ×（1 − 输出）”，最大不过 1/4。",
    },
    "relu": {"en": "What is positive passes; the rest becomes 0.", "zh": "正数通过，其余变为 0。"},
    "relu.input": {
        "en": "Chain rule: the error times the slope. The slope is 1 where the input was positive, else 0.",
        "zh": "链式法则：误差乘以斜率。输入为正处斜率为 1，否则为 0。",
    },
    "mse": {
        "en": "How far from the target: the mean of the squared differences.",
        "zh": "离目标有多远：差的平方的平均。",
    },
    "mse.input": {
        "en": "Backward begins at the loss, with ∂L/∂L = 1. The derivative of d² is 2 d; the mean divides "
        "by the number of entries.",
        "zh": "反向传播从损失开始，∂L/∂L = 1。d² 的导数是 2d；求平均要除以元素个数。",
    },
    "log_softmax": {
        "en": "Scores become logarithms of probabilities: their exponentials add up to 1 in every row.",
        "zh": "分数变成对数概率：取指数之后，每一行之和为 1。",
    },
    "log_softmax.input": {
        "en": "A larger score takes from the others' probability. With p = e^s, what comes back is "
        "(p − t) / N: the prediction minus the answer, t being 1 for the right class and 0 for the others.",
        "zh": "一个分数变大，别的概率就变小。记 p = e^s，传回的正是 (p − t) / N：预测减去正确答案，其中 t "
        "在正确类别处为 1，其余为 0。",
    },
    "nll": {
        "en": "How surprised the network is by the right classes: minus their log-probability, on average.",
        "zh": "正确类别让网络有多“意外”：其对数概率取负，再求平均。",
    },
    "nll.input": {
        "en": "Backward begins at the loss, with ∂L/∂L = 1. Of each sample only the right class counts, "
        "by 1/N.",
        "zh": "反向传播从损失开始，∂L/∂L = 1。每个样本只有正确的类别起作用，各占 1/N。",
    },
    "softmax": {
        "en": "Scores become probabilities: all positive, and every row adds up to 1.",
        "zh": "分数变成概率：都为正，每一行之和为 1。",
    },
    "softmax.input": {
        "en": "Each score moves all probabilities of its row. So from each error the row's mean error, "
        "weighted by the probabilities, is taken off.",
        "zh": "每个分数都影响整行的概率。所以每个误差要先减去该行误差按概率的加权平均。",
    },
    "batch_norm.mean": {"en": "The mean of each column, over the batch.", "zh": "每一列在这一批上的均值。"},
    "batch_norm.variance": {
        "en": "The mean squared distance from it: divided by N, not N − 1.",
        "zh": "与均值之差的平方的平均：除以 N，不是 N − 1。",
    },
    "batch_norm.standardised": {
        "en": "Every column gets mean 0 and variance 1; ε keeps the root away from 0.",
        "zh": "每一列的均值变为 0，方差变为 1；ε 使根号不为 0。",
    },
    "batch_norm": {
        "en": "Scale and shift are learnt, so the network can take the normalisation back. BatchNorm "
        "computes all of this at once.",
        "zh": "缩放与平移是学出来的，所以网络也可以还原归一化。BatchNorm 一次算完这些。",
    },
    "batch_norm.weight": {
        "en": "The scale multiplies x̂ in every sample. So its gradient is x̂ times the error, summed.",
        "zh": "缩放系数在每个样本里都乘 x̂。所以它的梯度是 x̂ 乘以误差，再求和。",
    },
    "batch_norm.input": {
        "en": "Three parts: the entry itself, less what it does through the mean, less what it does "
        "through the variance.",
        "zh": "三部分：元素本身，减去经均值的影响，再减去经方差的影响。",
    },
    "convolution": {
        "en": "The window slides over the picture. At each place: nine products, summed, plus the bias.",
        "zh": "卷积核在图像上滑动。每个位置上：九个乘积求和，加上偏置。",
    },
    "convolution.weight": {
        "en": "A weight was used at all nine places. So its gradient sums, over the places, the error "
        "times the pixel that it met there.",
        "zh": "一个权重用在全部九个位置。所以它的梯度是各位置上“误差 × 它遇到的像素”之和。",
    },
    "convolution.bias": {
        "en": "The bias is added at every place, with slope 1. So its gradient is the sum of the errors.",
        "zh": "偏置在每个位置都加一次，斜率为 1。所以它的梯度是各误差之和。",
    },
    "convolution.input": {
        "en": "A pixel lies under up to nine windows, in each under another weight: the errors come back "
        "through the kernel turned round.",
        "zh": "一个像素最多落在九个窗口里，每次对着不同的权重：误差经过翻转的卷积核传回来。",
    },
    "scores": {
        "en": "How well each query fits each key. The root of the width keeps the scores from growing "
        "with it.",
        "zh": "每个查询与每个键有多匹配。除以宽度的平方根，分数就不会随宽度变大。",
    },
    "scores.input": {
        "en": "A product of two matrices: the error times the other factor, with the same root below it.",
        "zh": "两个矩阵相乘：误差乘以另一个因子，分母是同一个平方根。",
    },
    "product": {
        "en": "Each row of the output is a mixture of the rows of V, in the proportions of P.",
        "zh": "输出的每一行是 V 各行的混合，比例由 P 给出。",
    },
    "product.weights": {
        "en": "How much of a row of V went in: its gradient is how well this row fits the error.",
        "zh": "V 的某一行混入了多少：它的梯度是这一行与误差的内积。",
    },
    "product.values": {
        "en": "A row of V went into every output. So the errors come back in the same proportions.",
        "zh": "V 的一行进入了每个输出。所以误差按同样的比例传回来。",
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

# The zoo's names are English; the others are told here.
FAULTS = {
    "zh": {
        "the activation's derivative is missing": "漏乘了激活函数的导数",
        "the derivative is taken at the input instead of the output": "导数取在了输入处，而不是输出处",
        "the bias gradient is averaged over the batch": "偏置的梯度对批取了平均",
        "the weights are updated before the error has passed through them": "误差还没传过去，权重就先更新了",
        "the mask is taken from the sign of the error": "掩码取自误差的符号",
        "the mean's 1/N is missing in the loss's gradient": "损失的梯度漏了求平均的 1/N",
        "parameter gradients divided by the batch size": "参数的梯度又除了一次批大小",
        "the factor 2 of the square is missing": "漏了平方求导的因子 2",
        "the error is passed on through Wᵀ instead of W": "误差经 Wᵀ 而不是 W 传回",
        "the weight gradient is transposed": "权重的梯度被转置了",
        "the slope at 0 is 1": "零点处的斜率取成了 1",
        "the statistics of the normalisation are held constant": "归一化的统计量被当成了常数",
        "the gradient through the variance is missing": "漏了经过方差的那部分梯度",
        "the variance is divided by M - 1 instead of M": "方差除以了 M − 1，而不是 M",
        "the window is not turned round in backward": "反向时卷积核没有翻转",
        "the window is turned round in forward": "前向时卷积核被翻转了",
        "the bias gradient is averaged over the places": "偏置的梯度对位置取了平均",
        "the Jacobian of the softmax is only its diagonal": "softmax 的雅可比矩阵只取了对角线",
    }
}

WORDS = {
    "title": {"en": "Backpropagation, step by step, in two frameworks", "zh": "反向传播：一步一步，两个框架"},
    "scene": {"en": "Scene", "zh": "场景"},
    "language": {"en": "Language", "zh": "语言"},
    "start": {"en": "What is given", "zh": "已知量"},
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
    "told": {"en": "It is {v}.", "zh": "是 {v}。"},
    "no_number": {
        "en": "This is not a number. Write it as −0.25 or −1/4, or leave it empty to be told.",
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
        "en": "Predict, then reveal: guess each number before you see it. Break it: make a mistake on "
        "purpose, and find out where it shows first.",
        "zh": "先猜，再看：先猜出一个数，再揭晓。弄坏它：故意犯一个错，看哪个数最先不对。",
    },
    "keys": {
        "en": "Keys: ← → step, space plays, Home and End; in a table the arrow keys move the entry.",
        "zh": "按键：← → 换步，空格播放，Home 与 End 到首尾；在表格中方向键换元素。",
    },
    "sheet": {"en": "Worksheet", "zh": "练习纸"},
}
