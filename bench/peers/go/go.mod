module skua/bench/peers

go 1.19
