-- Why: billing files are staged, checked and posted.
SELECT 1;
