-- Why: master classifiers and the mapping of senders codes to them.
SELECT 1;
