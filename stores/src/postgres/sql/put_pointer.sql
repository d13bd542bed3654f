UPDATE port.generations SET version = $1, pointer = $2::json WHERE one AND version = $3
