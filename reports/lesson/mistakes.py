"""The mistakes of the lesson in Chinese; their own names (torch_ref/faults) are English."""

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
