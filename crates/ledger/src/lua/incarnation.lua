-- incarnation
-- Which life of which store this is. KEYS store mark · ARGV time
return incarnation()
