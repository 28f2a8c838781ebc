-- Why: registers of agents and bank statements are matched with what was taken online.
SELECT 1;
