-- Why: penalties accrued over the region keep their printable calculation.
SELECT 1;
