-- Why: connections are changed by people: every change leaves its trail.
SELECT 1;
